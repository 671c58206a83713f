package manual

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func python(t *testing.T) string {
	t.Helper()
	path := kerneltest.Tool(t, "python3")
	if out, err := exec.Command(path, "-c", "import requests").CombinedOutput(); err != nil {
		if os.Geteuid() == 0 {
			t.Fatalf("install Debian package python3-requests: %s", out)
		}
		t.Skipf("%s python3-requests: install Debian package python3-requests", kerneltest.NeedsProgram)
	}
	return path
}

const untilEOF = "\nimport sys\nprint('ready', flush=True)\nsys.stdin.read()\n"

func TestPythonCloses(t *testing.T) {
	interpreter := python(t)
	for _, test := range []struct {
		name, program string
		closeWait     int
	}{
		{"leak", pythonLeak, 5},
		{"session", pythonSession, 0},
		{"stream", pythonStream, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			port, lapse := webServer(t, "200 OK", "hello")
			urls := fmt.Sprintf("urls = ['http://127.0.0.1:%d/%%d' %% i for i in range(5)]\n", port)
			running(t, interpreter, write(t, t.TempDir(), "p.py", urls+test.program+untilEOF))
			lapse()
			waitClosed(t, port, test.closeWait)
		})
	}
}

// TestPythonAdapterKeepsNoDelay asks the socket itself. The last case is the
// article's way: options that replace the default ones.
func TestPythonAdapterKeepsNoDelay(t *testing.T) {
	interpreter := python(t)
	const ask = `
response = session.get(urls[0], stream=True)
sock = response.raw._connection.sock
print(*[sock.getsockopt(*o) for o in [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT), (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)]])
`
	replaced := strings.Replace(pythonAdapter, "HTTPConnection.default_socket_options + [", "[", 1)
	if replaced == pythonAdapter {
		t.Fatal("the adapter does not add to the default options")
	}
	for _, test := range []struct{ name, program, want string }{
		{"added", pythonAdapter, "1 1 30 10 3 60000\n"},
		{"replaced", replaced, "0 1 30 10 3 60000\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			port, _ := webServer(t, "200 OK", "hello")
			urls := fmt.Sprintf("\nurls = ['http://127.0.0.1:%d/']\n", port)
			got := running(t, interpreter, write(t, t.TempDir(), "p.py", test.program+urls+ask+untilEOF))
			if got != test.want {
				t.Errorf("TCP_NODELAY, SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT = %q, want %q", got, test.want)
			}
			wantProbes(t, 1, recipeIdle, toPort(port)...)
		})
	}
}

func TestNodeCloses(t *testing.T) {
	node := program(t, "node")
	for _, test := range []struct {
		name, program string
		closeWait     int
	}{{"leak", nodeLeak, 1}, {"cure", nodeCure, 0}} {
		t.Run(test.name, func(t *testing.T) {
			// More than Node reads ahead, and less than the socket holds.
			port, lapse := webServer(t, "200 OK", strings.Repeat("x", 100<<10))
			source := fmt.Sprintf("const url = 'http://127.0.0.1:%d/';\n", port) +
				"const say = console.log;\nconsole.log = (text) => { say(text); say('ready'); };\n" + test.program +
				"\nprocess.stdin.resume().on('end', () => process.exit());\n"
			if got := running(t, node, write(t, t.TempDir(), "p.cjs", source)); got != "200\n" {
				t.Errorf("said %q", got)
			}
			if test.closeWait == 0 {
				wantProbes(t, 1, recipeIdle, toPort(port)...)
			}
			lapse()
			waitClosed(t, port, test.closeWait)
		})
	}
}

func TestNodeServerKeeps(t *testing.T) {
	node := program(t, "node")
	source := "const port = 0;\n" + nodeServer +
		"\nserver.on('listening', () => { console.log(server.address().port); console.log('ready'); });\n" +
		"process.stdin.resume().on('end', () => process.exit());\n"
	said := running(t, node, write(t, t.TempDir(), "p.cjs", source))
	port, err := strconv.Atoi(strings.TrimSpace(said))
	if err != nil {
		t.Fatalf("port %q: %v", said, err)
	}
	header := asked(t, port, "/")
	wantProbes(t, 1, recipeIdle, fromPort(port)...)
	if got := header.Get("Keep-Alive"); got != "timeout=75" {
		t.Errorf("announces %q, want timeout=75", got)
	}
}

// asked sends a request and keeps its connection until the test ends.
func asked(t *testing.T, port int, path string) http.Header {
	t.Helper()
	transport := &http.Transport{DialContext: (&net.Dialer{KeepAlive: -1}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", response.Status, err)
	}
	return response.Header
}
