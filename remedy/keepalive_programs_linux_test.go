package remedy

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// program starts a program in the namespace of the test, and waits for its first line.
func program(t *testing.T, name string, args ...string) (pid int32) {
	t.Helper()
	c := exec.Command(name, args...)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return int32(c.Process.Pid)
}

// restOf gives how long the keepalive timers of a process still run, by ss(8).
func restOf(t *testing.T, pid int32) (rest []time.Duration, off int) {
	t.Helper()
	for _, s := range heldBySS(t, pid) {
		if s.timer == "" {
			off++
			continue
		}
		m := expires.FindStringSubmatch(s.timer)
		if m == nil {
			t.Fatalf("ss: %s", s.timer)
		}
		minutes, _ := strconv.Atoi(m[1])
		n, _ := strconv.ParseFloat(m[2], 64)
		unit := time.Second
		if m[3] == "ms" {
			unit = time.Millisecond
		}
		rest = append(rest, time.Duration(minutes)*time.Minute+time.Duration(n*float64(unit)))
	}
	return rest, off
}

// expires matches what is left of a keepalive timer: "14sec", "1min59sec".
var expires = regexp.MustCompile(`timer:\(keepalive,(?:(\d+)min)?(?:([\d.]+)(ms|sec))?,(\d+)\)`)

// Programs that know nothing of it gain keepalive, and lose it by undo: requests, and
// a static program of Go that has keepalive off, or Go's own of 15 s.
func TestRootKeepalivePrograms(t *testing.T) {
	dialer := filepath.Join(t.TempDir(), "dialer")
	build := exec.Command("go", "build", "-o", dialer, "testdata/dialer/main.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	for _, test := range []struct {
		name string
		idle time.Duration // before, 0 for off
		args []string
	}{
		{"requests", 0, []string{kerneltest.Tool(t, "python3"), "testdata/session.py"}},
		{"Go without", 0, []string{dialer, "", "off"}},
		{"Go with its own", 15 * time.Second, []string{dialer, "", "default"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			kerneltest.Netns(t)
			id, err := netns.Self()
			if err != nil {
				t.Fatal(err)
			}
			args := test.args
			if args[1] == "" {
				h := holderOf(t, nil)
				l := h.do(order{Do: "listen", Family: "4"})[0]
				args[1] = fmt.Sprintf("127.0.0.1:%d", h.do(order{Do: "connect", Family: "4", FD: l.FD})[0].Port)
			}
			pid := program(t, args[0], args[1:]...)
			check := func(when string, idle time.Duration) {
				t.Helper()
				rest, off := restOf(t, pid)
				if idle == 0 && (len(rest) != 0 || off == 0) || idle != 0 && (len(rest) == 0 || off != 0) {
					t.Fatalf("%s: timers %v, and %d without", when, rest, off)
				}
				for _, d := range rest {
					if d > idle {
						t.Errorf("%s: a timer runs for %v more, want at most %v", when, d, idle)
					}
				}
			}
			check("before", test.idle)
			opt := KeepaliveOptions{Selection: selectionOf(t, id, pid), Timers: tcpvet.Timers{Keepalive: true, Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 4, UserTimeout: 18 * time.Second}}
			p, err := PlanKeepalive(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			j := journalIn(t)
			if err := p.Apply(t.Context(), j); err != nil || p.Tally()[tcpvet.OutcomeApplied] != len(p.Changes) {
				t.Fatalf("%v, %v", p.Tally(), err)
			}
			check("applied", 10*time.Second)
			for _, c := range p.Changes {
				if c.Before.Timers.Keepalive != (test.idle != 0) || c.Before.Timers.Keepalive && c.Before.Timers.Idle != test.idle {
					t.Errorf("before: %v", c.Before)
				}
			}
			u, err := PlanUndo(t.Context(), j, "", UndoOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Apply(t.Context(), j); err != nil || u.Tally()[tcpvet.OutcomeUndone] != len(p.Changes) {
				t.Fatalf("%v, %v", u.Tally(), err)
			}
			check("undone", test.idle)
		})
	}
}
