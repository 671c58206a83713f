package run_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/run"
)

// A listener belongs to the cgroup in which it was made: one that was handed over from
// outside is not reached, nor is what it accepts.
func TestRootListenerFromOutside(t *testing.T) {
	s := newStage(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	must(t, err)
	defer file.Close()
	c := s.command(order{Args: []string{kerneltest.Tool(t, "python3"), "-c", python + `
l = socket.socket(fileno=3)
c = socket.create_connection(l.getsockname()); a, _ = l.accept()
tell(c); tell(a)
`}, Timers: timers})
	c.ExtraFiles = []*os.File{file}
	out, err := c.Output()
	must(t, err)
	if string(out) != given+"\n"+untouched+"\n" {
		t.Errorf("got %q, want the connecting end alone to have values", out)
	}
	if sum := c.tells().Result.Summary; sum.Opened != 1 || sum.Accepted != 0 {
		t.Errorf("%+v", sum)
	}
}

// What a listener of the group accepts is reached, however old it is; connections that
// are there already are not.
func TestRootListenerFromBefore(t *testing.T) {
	s := newStage(t)
	v := s.serviceOf("api", python+`
l = socket.create_server(("127.0.0.1", 0))
old, _ = (socket.create_connection(l.getsockname()), None); before, _ = l.accept()
print("ready"); print(l.getsockname()[1]); input()
new, _ = l.accept()
tell(new); tell(before)
`)
	port := <-v.words
	g, err := run.OfPath(v.group)
	must(t, err)
	a, err := g.Attach(run.Options{Timers: timers})
	must(t, err)
	defer a.Close()
	c, err := (&net.Dialer{KeepAlive: -1}).Dial("tcp4", "127.0.0.1:"+port)
	must(t, err)
	defer c.Close()
	_, err = v.in.WriteString("go\n")
	must(t, err)
	if accepted, before := <-v.words, <-v.words; accepted != given || before != untouched {
		t.Errorf("accepted: %s, from before: %s", accepted, before)
	}
	// The peer of the accepted connection is outside.
	out, err := exec.Command(kerneltest.Tool(t, "ss"), "-tnoH", "dport", "=", ":"+port).Output()
	must(t, err)
	if strings.Contains(string(out), "keepalive") {
		t.Errorf("the ends outside were touched:\n%s", out)
	}
}

// The connections below an MPTCP socket are the group's too.
func TestRootMPTCP(t *testing.T) {
	s := newStage(t)
	if b, err := os.ReadFile("/proc/sys/net/mptcp/enabled"); err != nil || string(b) != "1\n" {
		t.Skip(kerneltest.LacksFeature + " MPTCP")
	}
	out, say, status := s.play(order{Args: []string{kerneltest.Tool(t, "python3"), "-c", `
import socket, subprocess
l = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); l.bind(("127.0.0.1", 0)); l.listen()
c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); c.connect(l.getsockname()); a, _ = l.accept()
print(subprocess.run(["` + kerneltest.Tool(t, "ss") + `", "-tnoH", "state", "established"], capture_output=True, text=True).stdout)
`}, Timers: timers})
	if n := strings.Count(out, "timer:(keepalive,"); status != 0 || n != 2 {
		t.Errorf("ss shows %d timers, want 2:\n%s", n, out)
	}
	if sum := say.Result.Summary; sum.Opened != 1 || sum.Accepted != 1 || sum.Failed.Total() != 0 {
		t.Errorf("%+v", sum)
	}
}
