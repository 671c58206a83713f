package remedy

import (
	"context"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/sockdiag"
)

// stuck gives a plan for a socket in CLOSE-WAIT whose FIN has to wait behind data that
// the peer does not take.
func stuck(t *testing.T) *Plan {
	t.Helper()
	client, _ := waiting(t, "127.0.0.1")
	ok(t, unix.SetNonblock(client, true))
	block := make([]byte, 1<<16)
	for refused := 0; refused < 20; {
		if _, err := unix.Write(client, block); err != nil {
			refused++
			time.Sleep(5 * time.Millisecond)
		}
	}
	keeping(t, "trap '' PIPE; ", client)
	p, err := PlanClose(t.Context(), closeOptions(t))
	ok(t, err)
	if len(p.Changes) != 1 {
		t.Fatalf("planned %d", len(p.Changes))
	}
	return p
}

// A FIN that the peer does not take is not waited for.
func TestRootCloseUnacknowledged(t *testing.T) {
	kerneltest.Netns(t)
	p := stuck(t)
	if note := strings.Join(p.Notes, "\n"); !strings.Contains(note, "1 of those in CLOSE-WAIT have sent data that their peers have not acknowledged") {
		t.Errorf("notes: %s", note)
	}
	p.By.(*closing).settle = 200 * time.Millisecond
	ok(t, p.Apply(t.Context(), journalIn(t)))
	if got := reasons(p); !maps.Equal(got, map[string]int{"applied destroyed: the peer did not acknowledge the FIN within 200ms": 1}) {
		t.Errorf("%v", got)
	}
	if n := bySS(t); n["LAST-ACK"]+n["CLOSE-WAIT"] != 0 {
		t.Errorf("left: %v", n)
	}
}

// Whoever stops it while a FIN is waited for is told that the socket was shut down, and
// so is the journal.
func TestRootCloseStopped(t *testing.T) {
	kerneltest.Netns(t)
	p, j := stuck(t), journalIn(t)
	p.By.(*closing).settle = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	p.By = stopping{p.By.(*closing), cancel}
	if err := p.Apply(ctx, j); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	c := p.Changes[0]
	if c.Outcome != tcpvet.OutcomeApplied || c.After.State != tcpvet.LastAck || !strings.HasPrefix(c.Reason, "shut down; it ends once") {
		t.Errorf("%+v", c)
	}
	if n := bySS(t); n["LAST-ACK"] != 1 {
		t.Errorf("left: %v", n)
	}
	changes, _, err := j.changes(p.ID)
	if err != nil || len(changes) != 1 || changes[0].Outcome != tcpvet.OutcomeApplied || changes[0].After.State != tcpvet.LastAck {
		t.Errorf("the journal has %+v, %v", changes, err)
	}
}

// stopping has ctx end as soon as a socket is in LAST-ACK.
type stopping struct {
	*closing
	stop func()
}

func (s stopping) Apply(ctx context.Context, changes []tcpvet.Change, tell Tell) error {
	watched := []tcpvet.Change{changes[0]}
	go func() {
		defer s.stop()
		ids := s.ids(watched, []int{0})
		for range 3000 {
			state := tcpvet.State(0)
			err := s.eachSpace(context.Background(), watched, func(int, tcpvet.Outcome, string) {}, func(c *sockdiag.Conn, _ []int, _ error) error {
				return c.Lookup(context.Background(), ids, func(_ int, sock *tcpvet.Socket, err error) {
					if err == nil {
						state = sock.State
					}
				})
			})
			if err != nil || state == tcpvet.LastAck {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return s.closing.Apply(ctx, changes, tell)
}

// A program that closes its socket meanwhile has closed it, whatever the FIN waits for.
func TestRootCloseLeavesToItsProgram(t *testing.T) {
	kerneltest.Netns(t)
	inNamespace(t)
	p := stuck(t)
	holder, err := os.FindProcess(int(p.Changes[0].Target.Holder.PID))
	ok(t, err)
	ok(t, holder.Kill())
	until(t, "LAST-ACK", func() bool { return bySS(t)["LAST-ACK"] == 1 })
	ok(t, p.Apply(t.Context(), journalIn(t)))
	if got := reasons(p); !maps.Equal(got, map[string]int{"gone its program has closed it": 1}) {
		t.Errorf("%v", got)
	}
	if n := bySS(t); n["LAST-ACK"] != 1 {
		t.Errorf("left: %v", n)
	}
}

func TestCloseFound(t *testing.T) {
	for name, c := range map[string]struct {
		listed, now tcpvet.State
		err         error
		want        tcpvet.Outcome
	}{
		"as listed":         {tcpvet.CloseWait, tcpvet.CloseWait, nil, tcpvet.OutcomePlanned},
		"closed meanwhile":  {tcpvet.CloseWait, tcpvet.LastAck, nil, tcpvet.OutcomeGone},
		"it was LAST-ACK":   {tcpvet.LastAck, tcpvet.LastAck, nil, tcpvet.OutcomePlanned},
		"a listener by now": {tcpvet.SynSent, tcpvet.Listen, nil, tcpvet.OutcomeRefused},
		"gone":              {tcpvet.TimeWait, 0, sockdiag.ErrGone, tcpvet.OutcomeGone},
		"no answer":         {tcpvet.TimeWait, 0, sockdiag.ErrLost, tcpvet.OutcomeRefused},
	} {
		got, why := found(&tcpvet.Change{Before: tcpvet.Value{State: c.listed}}, &tcpvet.Socket{State: c.now}, c.err)
		if got != c.want || got == tcpvet.OutcomeRefused && why == "" {
			t.Errorf("%s: %q %q", name, got, why)
		}
	}
}
