package run_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// python tells the values of both ends of a connection over each family, as
// getsockopt(2) has them.
const python = `
import socket
def tell(*socks):
    for s in socks: print([s.getsockopt(6, n) for n in (4, 5, 6, 18)], s.getsockopt(1, 9))
def both(family, at, to=None):
    l = socket.socket(family); l.bind((at, 0)); l.listen()
    c = socket.socket(family); c.connect((to or at, l.getsockname()[1])); a, _ = l.accept()
    tell(c, a)
    return l, c, a
`

// Both ends of a connection have the values, in each family; ss shows the timer.
func TestRootValuesInEveryFamily(t *testing.T) {
	s := newStage(t)
	py, ss := kerneltest.Tool(t, "python3"), kerneltest.Tool(t, "ss")
	out, say, status := s.play(order{Args: []string{py, "-c", python + `
kept = [both(socket.AF_INET, "127.0.0.1"), both(socket.AF_INET6, "::1"), both(socket.AF_INET6, "::ffff:127.0.0.1")]
dual = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
c = socket.create_connection(("127.0.0.1", dual.getsockname()[1])); a, _ = dual.accept()
tell(c, a)
import subprocess
print(subprocess.run(["` + ss + `", "-tnoH", "state", "established"], capture_output=True, text=True).stdout)
`}, Timers: timers})
	if status != 0 || say.Err != "" {
		t.Fatalf("status %d, %s", status, say.Err)
	}
	if n := strings.Count(out, "[31, 7, 4, 45000] 1\n"); n != 8 {
		t.Errorf("%d ends have the values, want 8:\n%s", n, out)
	}
	if n := strings.Count(out, "timer:(keepalive,"); n != 8 {
		t.Errorf("ss shows %d timers, want 8:\n%s", n, out)
	}
	sum := say.Result.Summary
	if sum.Opened != 4 || sum.Accepted != 4 || sum.Failed.Total() != 0 || sum.Own != nil || sum.Refused != 0 {
		t.Errorf("summary: %+v", sum)
	}
	s.clean()
}

// A child of the command, and a program in C.
func TestRootValuesOfChildren(t *testing.T) {
	s := newStage(t)
	bash, ss := kerneltest.Tool(t, "bash"), kerneltest.Tool(t, "ss")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	to := strings.Replace(l.Addr().String(), ":", "/", 1)
	out, say, _ := s.play(order{Args: []string{bash, "-c", `(` + bash + ` -c "exec 3<>/dev/tcp/` + to + `; ` + ss + ` -tnoH state established sport != :` + strings.Split(to, "/")[1] + `"); exit 0`}, Timers: timers})
	if strings.Count(out, "timer:(keepalive,") != 1 || say.Result.Summary.Opened != 1 {
		t.Errorf("%s\n%+v", out, say.Result)
	}
	// The end that is here is outside of the run.
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	if got, err := exec.Command(ss, "-tnoHa", "state", "close-wait", "state", "established").Output(); err != nil || strings.Contains(string(got), "31sec") || strings.Contains(string(got), "30sec") {
		t.Errorf("what is outside was touched: %s, %v", got, err)
	}
	s.clean()
}

// Without a value of its own Go leaves the connection as it was given; its default
// comes after, and is named.
func TestRootGo(t *testing.T) {
	s := newStage(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	out, say, _ := s.play(order{Args: part("client", l.Addr().String(), "-1s"), Timers: timers})
	if out != "[31 7 4 45000] 1\n" || say.Result.Summary.Own != nil {
		t.Errorf("without keepalive of its own: %q, %+v", out, say.Result.Summary)
	}
	out, say, _ = s.play(order{Args: part("client", l.Addr().String(), "0s", "leak"), Timers: timers})
	if out != "[15 15 9 45000] 1\n" {
		t.Errorf("with Go's default: %q", out)
	}
	sum := say.Result.Summary
	if len(sum.Own) != 1 || sum.Own[0].Connections != 1 || sum.Own[0].Opener.Comm != "exe" || sum.Own[0].Opener.PID <= 0 ||
		sum.Own[0].Timers != (tcpvet.Timers{Keepalive: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9, UserTimeout: 45 * time.Second}) {
		t.Errorf("own values: %+v", sum.Own)
	}
	if lines := strings.Join(sum.Lines(), "\n"); !strings.Contains(lines, "set its own keepalive over this on 1 connection: 15s + 9 x 15s") {
		t.Errorf("lines: %s", lines)
	}
	// It ended with the connection in CLOSE-WAIT.
	if sum.Leaked == nil || *sum.Leaked != 1 || sum.MostCloseWait != 1 || sum.CloseWait != 0 {
		t.Errorf("leaked: %+v", sum)
	}
	l.Close()
	<-accepted
	s.clean()
}

// A server's accepted connections: Go sets its own on these too, in any protocol that
// it listens with.
func TestRootGoServer(t *testing.T) {
	s := newStage(t)
	r := s.command(order{Args: part("server"), Timers: timers})
	out, err := r.StdoutPipe()
	must(t, err)
	must(t, r.Start())
	words := bufferedLines(out)
	c, err := net.Dial("tcp4", <-words)
	must(t, err)
	if got := <-words; got != "[15 15 9 45000] 1" {
		t.Errorf("accepted: %q", got)
	}
	c.Close()
	must(t, r.Wait())
	sum := r.tells().Result.Summary
	if sum.Accepted != 1 || len(sum.Own) != 1 || sum.Own[0].Opener.Comm != "exe" {
		t.Errorf("%+v", sum)
	}
}

// Each value that a program changes is noticed, by itself.
func TestRootOwnValues(t *testing.T) {
	s := newStage(t)
	_, say, _ := s.play(order{Args: []string{kerneltest.Tool(t, "python3"), "-c", python + `
for level, name, value in (1, 9, 0), (6, 4, 99), (6, 5, 99), (6, 6, 99), (6, 18, 99), (6, 1, 1):
    l, c, a = both(socket.AF_INET, "127.0.0.1")
    c.setsockopt(level, name, value)
    c.close(); a.close()
`}, Timers: timers})
	got := map[tcpvet.Timers]uint64{}
	for _, o := range say.Result.Summary.Own {
		got[o.Timers] += o.Connections
		if o.Opener.Comm != "python3" && !strings.HasPrefix(o.Opener.Comm, "python3.") {
			t.Errorf("it was %v", o.Opener)
		}
	}
	want := map[tcpvet.Timers]uint64{}
	for _, change := range []func(*tcpvet.Timers){
		func(t *tcpvet.Timers) { t.Keepalive = false },
		func(t *tcpvet.Timers) { t.Idle = 99 * time.Second },
		func(t *tcpvet.Timers) { t.Interval = 99 * time.Second },
		func(t *tcpvet.Timers) { t.Count = 99 },
		func(t *tcpvet.Timers) { t.UserTimeout = 99 * time.Millisecond },
	} {
		own := timers
		change(&own)
		want[own] = 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("own values, - wanted:\n%s", diff)
	}
}

// What a program sets before it connects is replaced.
func TestRootValuesSetBefore(t *testing.T) {
	s := newStage(t)
	out, say, _ := s.play(order{Args: []string{kerneltest.Tool(t, "python3"), "-c", python + `
l = socket.create_server(("127.0.0.1", 0))
c = socket.socket(); c.setsockopt(1, 9, 1); c.setsockopt(6, 4, 99); c.connect(l.getsockname())
tell(c)
`}, Timers: tcpvet.Timers{Keepalive: true, Idle: 31 * time.Second, Interval: 7 * time.Second, Count: 4}})
	if out != "[31, 7, 4, 0] 1\n" || say.Result.Summary.Own != nil {
		t.Errorf("%q, %+v", out, say.Result)
	}
}

// A user timeout ends a connect that nobody answers: the option works in SYN-SENT too,
// other than tcp(7) says.
func TestRootUserTimeoutOfConnect(t *testing.T) {
	s := newStage(t)
	out, say, _ := s.play(order{Args: []string{kerneltest.Tool(t, "python3"), "-c", `
import socket, time
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(0)
first = socket.create_connection(l.getsockname()) # now the queue is full
at = time.monotonic()
try: socket.create_connection(l.getsockname())
except TimeoutError as e: print(e.errno, time.monotonic() - at < 60)
`}, Timers: tcpvet.Timers{UserTimeout: 1500 * time.Millisecond}})
	if out != "110 True\n" || say.Result.Summary.Failed.Unanswered != 1 {
		t.Errorf("%q, %+v", out, say.Result)
	}
}
