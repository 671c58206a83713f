package run_test

import (
	"os"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/run"
)

// Each way in which a connect comes to nothing is counted once, under its name; the
// program's own errno says which it was.
func TestRootFailed(t *testing.T) {
	s := newStage(t)
	must(t, os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40009"), 0))
	py := kerneltest.Tool(t, "python3")
	for _, test := range []struct {
		name, code, out string
		want            run.Failed
		opened          uint64
	}{
		{"no port", `
l = socket.create_server(("127.0.0.1", 30000))
kept = []
for i in range(13): attempt(("127.0.0.1", 30000))`, "0 0 0 0 0 0 0 0 0 0 99 99 99", run.Failed{NoPort: 3}, 10},
		{"no route", `attempt(("198.51.100.1", 80))`, "101", run.Failed{NoSYN: 1}, 0},
		{"the connection exists", `
l = socket.create_server(("127.0.0.1", 30000))
attempt(("127.0.0.1", 30000), 20000); attempt(("127.0.0.1", 30000), 20000)`, "0 99", run.Failed{NoSYN: 1}, 1},
		{"refused", `attempt(("127.0.0.1", 1)); attempt(("::1", 1))`, "111 111", run.Failed{Unanswered: 2}, 0},
		{"given up", `
l = socket.socket(); l.bind(("127.0.0.1", 30000)); l.listen(0)
attempt(("127.0.0.1", 30000))
s = socket.socket(); s.setblocking(False); print(s.connect_ex(("127.0.0.1", 30000)), end=" "); s.close()`, "0 115", run.Failed{GivenUp: 1}, 1},
		{"a socket that tries again", `
s = socket.socket()
print(s.connect_ex(("127.0.0.1", 1)), end=" ")
s.setsockopt(6, 4, 99)
l = socket.create_server(("127.0.0.1", 30000)); print(s.connect_ex(("127.0.0.1", 30000)), end=" ")
print(s.getsockopt(6, 4), s.connect_ex(("127.0.0.1", 30000)), end=" ")`, "111 0 31 106", run.Failed{Unanswered: 1}, 1},
	} {
		t.Log(test.name) // a subtest would run outside
		out, say, _ := s.play(order{Args: []string{py, "-c", `
import socket
kept = []
def attempt(to, port=0):
    s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET)
    s.setsockopt(1, 2, 1)
    if port: s.bind(("127.0.0.1", port))
    kept.append(s); print(s.connect_ex(to), end=" ")
` + test.code}, Timers: timers})
		sum := say.Result.Summary
		if out != test.out+" " || sum.Failed != test.want || sum.Opened != test.opened {
			t.Errorf("%s: %q, %+v, want %q, %+v and %d opened", test.name, out, sum, test.out, test.want, test.opened)
		}
	}
	s.clean()
}

// The peak of CLOSE-WAIT is seen although Python closes everything before it ends.
func TestRootMostCloseWait(t *testing.T) {
	s := newStage(t)
	_, say, _ := s.play(order{Args: []string{kerneltest.Tool(t, "python3"), "-c", python + `
import time
def wait(n):
    while open("/proc/net/tcp").read().count(" 08 ") != n: time.sleep(0.01)
ends = [both(socket.AF_INET, "127.0.0.1") for _ in range(12)]
for l, c, a in ends[:7]: c.close()
wait(7)
for l, c, a in ends[:4]: a.close()
wait(3)
for l, c, a in ends[7:9]: c.close()
wait(5)
`}, Timers: timers})
	sum := say.Result.Summary
	if sum.MostCloseWait != 7 || sum.CloseWait != 0 || sum.Opened != 12 || *sum.Leaked != 0 {
		t.Errorf("%+v, want a peak of 7 and none leaked", sum)
	}
}
