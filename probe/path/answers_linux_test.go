package path

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/probe"
)

// asked gives a play that asks a server behind a tunnel.
func asked(serve func(*net.TCPConn), prepare func(*far)) func(context.Context, *lab.Stage) (any, error) {
	return func(ctx context.Context, s *lab.Stage) (any, error) {
		f, err := behind(ctx, s, false, serve)
		if err != nil {
			return nil, err
		}
		if prepare != nil {
			prepare(f)
		}
		return Answers(ctx, f.options())
	}
}

func TestRootAnswers(t *testing.T) {
	kerneltest.Root(t)
	t.Parallel()
	tests := []struct {
		play     string
		fate     probe.Fate
		answered int
		probes   int // at least
		says     string
	}{
		{"answers", probe.Answered, 3, 3, "answers keepalive probes: 3 of 3"},
		{"answers with one lost", probe.Answered, 3, 4, "answers keepalive probes: 3 of 4"},
		{"mute", probe.Silent, 0, 2, "answers no keepalive probe"},
		{"refuses probes", probe.ResetAsked, 0, 1, "answered a keepalive probe by RST"},
		{"closes", probe.Answered, 1, 1, "answers keepalive probes: 1 of 1"},
		{"closes at once", probe.Closed, 0, 0, "closed it (FIN) before a probe was answered"},
	}
	var names []string
	for _, test := range tests {
		names = append(names, test.play)
	}
	all := playAll[probe.Answers](t, names)
	for _, test := range tests {
		t.Run(test.play, func(t *testing.T) {
			a := all[test.play]
			if a.Fate != test.fate || a.Answered != test.answered || a.Probes < test.probes {
				t.Errorf("%+v, want %v, %d answered and %d probes", a, test.fate, test.answered, test.probes)
			}
			if a.Answered > 0 && (a.Slowest <= 0 || a.Slowest > time.Minute) {
				t.Errorf("the slowest answer took %v", a.Slowest)
			}
			if a.Fate == probe.Silent && a.Wait < timeout {
				t.Errorf("gave up after %v, want %v", a.Wait, timeout)
			}
			if text := a.Read().Text[0]; !strings.Contains(text, test.says) {
				t.Errorf("%q is not in %q", test.says, text)
			}
		})
	}
}

// The acknowledgement of a FIN that came before a probe went is not taken for one.
func TestFINAcknowledged(t *testing.T) {
	t.Parallel()
	closes := make(chan struct{})
	o := listen(t, func(c *net.TCPConn) {
		<-closes
		c.Close()
	})
	c, err := open(t.Context(), netip.MustParseAddrPort(o.Target), timeout)
	if err != nil {
		t.Fatal(err)
	}
	l := &lodger{connection: c, step: Least}
	defer l.close(false)
	l.await()
	close(closes)
	until := time.Now().Add(10 * time.Second)
	for out := l.out; out == l.askedOut; {
		err := l.raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil || time.Now().After(until) {
				t.Fatalf("the FIN is not acknowledged: %v", err)
			}
			out = info.Segs_out
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.attend(timeout); err != nil {
		t.Fatal(err)
	}
	if !l.decided || l.outcome != probe.Closed || !l.sent.by.IsZero() {
		t.Errorf("%v: %v, a probe was sent: %v", l.decided, l.outcome, !l.sent.by.IsZero())
	}
}

// Whoever ends it is told what was answered so far.
func TestAnswersInterrupted(t *testing.T) {
	t.Parallel()
	o := listen(t, func(*net.TCPConn) {})
	o.Probes = 1000
	for wait := 2500 * time.Millisecond; ; wait *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		a, err := Answers(ctx, o)
		cancel()
		if err != nil && wait < time.Minute {
			continue // not even one was answered by then
		}
		if err != nil || !a.Interrupted || a.Fate != probe.Answered || a.Answered == 0 || a.Probes < a.Answered {
			t.Errorf("%+v, %v", a, err)
		}
		return
	}
}
