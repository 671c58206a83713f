package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// tunnelled makes a far host behind a tunnel, with a peer that listens there.
func tunnelled(ctx context.Context, s *Stage) (t *Tunnel, client *Process, to, to6 netip.AddrPort, err error) {
	far, err := s.NewHost(ctx, "far")
	if err != nil {
		return
	}
	if t, err = s.Tunnel(ctx, s.Host, far, LinkOptions{}); err != nil {
		return
	}
	to, to6 = netip.AddrPortFrom(t.B.Addr4, 80), netip.AddrPortFrom(t.B.Addr6, 80)
	client, err = pair(ctx, s.Host, far, to, to6)
	return
}

// playTunnel checks what a tunnel does to segments, from inside.
func playTunnel(ctx context.Context, s *Stage) error {
	t, client, to, to6, err := tunnelled(ctx, s)
	if err != nil {
		return err
	}
	far := t.B.Host
	var o outcome
	for _, to := range []netip.AddrPort{to, to6} {
		if err := echo(ctx, client, to); err != nil {
			return err
		}
	}
	// Both conversations closed as RFC 9293, section 3.6, case 1 has it.
	if _, err := t.Wait(ctx, 4, FIN); err != nil {
		return err
	}
	err = Until(ctx, "the conversations to end", func() (bool, error) {
		all := t.Conversations()
		if len(all) != 2 {
			return false, fmt.Errorf("%d conversations crossed, want 2", len(all))
		}
		done := true
		for _, c := range all {
			done = done && c.ServerState == tcpvet.Unconn
			if c.Close.First != tcpvet.ClientEnd || c.FromClient.Bytes != 5 || c.FromServer.Bytes != 5 {
				return false, fmt.Errorf("a conversation went so: %+v", *c)
			}
		}
		return done, nil
	})
	if err != nil {
		return err
	}

	// Delay, either way: a round trip takes at least their sum.
	t.Delay(s.Host, 30*time.Millisecond)
	t.Delay(far, 20*time.Millisecond)
	if err := client.Cue(ctx, "connect", to, &o); err != nil || o.Errno != 0 || o.Took < 50*time.Millisecond {
		return fmt.Errorf("connect over a way of 30 and 20 ms: %+v, %v", o, err)
	}
	t.Delay(s.Host, 0)
	t.Delay(far, 0)

	// A dropped segment comes again; the second one that matches passes.
	first := t.Drop(Nth(1, From(s.Host, Data)))
	if err := client.Cue(ctx, "send", "lost once", &o); err != nil || o.ok("lost once") != nil || first.Count() != 1 {
		return fmt.Errorf("send over a way that loses one segment: %+v, %v, %d lost", o, err, first.Count())
	}
	first.Remove()
	if lost := t.Select(func(c *Crossing) bool { return c.Fate == Dropped }); len(lost) != 1 || lost[0].Segment.Len != len("lost once") || lost[0].From != s.Host {
		return fmt.Errorf("recorded as lost: %v", lost)
	}
	if twice := t.Select(func(c *Crossing) bool { return c.Segment.Len == len("lost once") && c.From == s.Host }); len(twice) < 2 {
		return fmt.Errorf("a lost segment was not sent again: %v", twice)
	}

	// What is held arrives when it is released, and not before. It is that
	// segment which arrives: what is sent again meanwhile is lost.
	held := t.Hold(From(far, Data))
	answered := make(chan error, 1)
	go func() { answered <- client.Cue(ctx, "send", "wait", &o) }()
	if err := held.Wait(ctx, 1); err != nil {
		return err
	}
	again := t.Drop(From(far, Data))
	select {
	case err := <-answered:
		return fmt.Errorf("an answer that was held has arrived: %+v, %v", o, err)
	case <-time.After(100 * time.Millisecond):
	}
	held.Release()
	select {
	case err := <-answered:
		if err != nil || o.ok("wait") != nil {
			return fmt.Errorf("after the release: %+v, %v", o, err)
		}
	case <-time.After(Generous):
		return errors.New("what was released has not arrived")
	}
	again.Remove()
	if err := client.Cue(ctx, "send", "on", &o); err != nil || o.ok("on") != nil {
		return fmt.Errorf("after the end of the rules: %+v, %v", o, err)
	}

	// What is discarded is as if it was lost.
	held = t.Hold(Both(From(s.Host, Data), Not(OnPort(81, AnySegment))))
	go func() { answered <- client.Cue(ctx, "send", "gone", &o) }()
	if err := held.Wait(ctx, 1); err != nil {
		return err
	}
	held.Discard()
	if err := <-answered; err != nil || o.ok("gone") != nil {
		return fmt.Errorf("after segments were discarded: %+v, %v", o, err)
	}

	// Nothing crosses a cut.
	t.Cut()
	go func() { answered <- client.Cue(ctx, "send", "cut", &o) }()
	if _, err := t.Wait(ctx, 2, func(c *Crossing) bool { return c.Fate == Dropped && c.Segment.Len == len("cut") }); err != nil {
		return err
	}
	select {
	case err := <-answered:
		return fmt.Errorf("an answer has crossed a cut: %+v, %v", o, err)
	default:
	}
	t.Mend()
	if err := <-answered; err != nil || o.ok("cut") != nil {
		return fmt.Errorf("after the cut was mended: %+v, %v", o, err)
	}
	return nil
}

func TestRootTunnel(t *testing.T) {
	kerneltest.Root(t)
	output(t, run("tunnel"))
}

// playResets checks that a kernel believes the RSTs of a tunnel, of either
// family and in every state that a middlebox meets, from inside.
func playResets(ctx context.Context, s *Stage) error {
	t, client, to, to6, err := tunnelled(ctx, s)
	if err != nil {
		return err
	}
	var o outcome
	for _, to := range []netip.AddrPort{to, to6} {
		// A SYN that is reset is refused.
		rule := t.Reset(SYN)
		if err := client.Cue(ctx, "connect", to, &o); err != nil || o.Errno != int(unix.ECONNREFUSED) || rule.Count() != 1 {
			return fmt.Errorf("connect to %s that is answered by RST: %+v, %v", to, o, err)
		}
		rule.Remove()
		// An open connection is reset, at once.
		if err := client.Cue(ctx, "connect", to, &o); err != nil || o.ok("") != nil {
			return fmt.Errorf("connect to %s: %+v, %v", to, o, err)
		}
		rule = t.Reset(From(s.Host, Data))
		if err := client.Cue(ctx, "send", "x", &o); err != nil || o.Errno != int(unix.ECONNRESET) {
			return fmt.Errorf("send to %s, answered by RST: %+v, %v", to, o, err)
		}
		rule.Remove()
	}
	answered := t.Select(func(c *Crossing) bool { return c.Fate == Answered })
	forged := t.Select(func(c *Crossing) bool { return c.Fate == Forged })
	if len(answered) != 4 || len(forged) != 4 {
		return fmt.Errorf("%d segments were answered by %d RSTs, want 4 and 4", len(answered), len(forged))
	}
	for i := range forged {
		a, f := &answered[i].Segment, &forged[i].Segment
		if !f.Flags.Has(capture.RST) || f.Src != a.Dst || f.Dst != a.Src {
			return fmt.Errorf("%v was answered by %v", answered[i], forged[i])
		}
	}

	// A middlebox forgets what is idle. Who is silent shorter than that stays.
	const idle = 300 * time.Millisecond
	rule := t.Forget(idle, ByReset)
	if err := client.Cue(ctx, "connect", to, &o); err != nil || o.ok("") != nil {
		return fmt.Errorf("connect through a middlebox: %+v, %v", o, err)
	}
	if err := client.Cue(ctx, "send", "soon", &o); err != nil {
		return err
	}
	// On a machine so busy that this took longer, it is forgotten already.
	if o.Errno == 0 {
		if err := Wait(ctx, idle+100*time.Millisecond); err != nil {
			return err
		}
		if err := client.Cue(ctx, "send", "late", &o); err != nil {
			return err
		}
	}
	if o.Errno != int(unix.ECONNRESET) || rule.Count() != 1 {
		return fmt.Errorf("send on a forgotten flow: %+v, %d answered", o, rule.Count())
	}
	rule.Remove()

	rule = t.Forget(idle, Silently)
	if err := client.Cue(ctx, "connect", to, &o); err != nil || o.ok("") != nil {
		return fmt.Errorf("connect through a middlebox: %+v, %v", o, err)
	}
	if err := Wait(ctx, idle+100*time.Millisecond); err != nil {
		return err
	}
	answer := make(chan error, 1)
	go func() { answer <- client.Cue(ctx, "send", "late", &o) }()
	if err := rule.Wait(ctx, 2); err != nil { // sent, and sent again
		return err
	}
	select {
	case err := <-answer:
		return fmt.Errorf("a forgotten flow goes on: %+v, %v", o, err)
	default:
	}
	rule.Remove()
	if err := <-answer; err != nil || o.ok("late") != nil {
		return fmt.Errorf("once the middlebox is gone: %+v, %v", o, err)
	}
	stopped, stop := context.WithCancelCause(ctx)
	because := errors.New("because")
	stop(because)
	if err := rule.Wait(stopped, 1000); !errors.Is(err, because) {
		return fmt.Errorf("a wait that was stopped: got %v", err)
	}
	return nil
}

func TestRootResets(t *testing.T) {
	kerneltest.Root(t)
	output(t, run("resets"))
}
