package manual

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

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
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT)]])
`
	replaced := strings.Replace(pythonAdapter, "HTTPConnection.default_socket_options + [", "[", 1)
	if replaced == pythonAdapter {
		t.Fatal("the adapter does not add to the default options")
	}
	for _, test := range []struct{ name, program, want string }{
		{"added", pythonAdapter, "1 1 30 10 3\n"},
		{"replaced", replaced, "0 1 30 10 3\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			port, _ := webServer(t, "200 OK", "hello")
			urls := fmt.Sprintf("\nurls = ['http://127.0.0.1:%d/']\n", port)
			got := running(t, interpreter, write(t, t.TempDir(), "p.py", test.program+urls+ask+untilEOF))
			if got != test.want {
				t.Errorf("TCP_NODELAY, SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = %q, want %q", got, test.want)
			}
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
			lapse()
			waitClosed(t, port, test.closeWait)
		})
	}
}

// TestNginxTakesTheConfiguration has nginx check it, without starting.
func TestNginxTakesTheConfiguration(t *testing.T) {
	nginx := kerneltest.Tool(t, "nginx")
	dir := t.TempDir()
	conf := write(t, dir, "nginx.conf", "pid "+dir+"/pid;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path "+dir+"/a;\nproxy_temp_path "+dir+"/b;\nfastcgi_temp_path "+dir+"/c;\nuwsgi_temp_path "+dir+"/d;\nscgi_temp_path "+dir+"/e;\n"+nginxCure+"\n}\n")
	out, err := exec.Command(nginx, "-t", "-p", dir, "-e", dir+"/log", "-c", conf).CombinedOutput()
	if err != nil || strings.Contains(string(out), "[warn]") {
		t.Errorf("%v\n%s", err, out)
	}
}
