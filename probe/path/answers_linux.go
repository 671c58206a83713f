package path

import (
	"context"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// Answers opens one connection, leaves it idle for a second, and sees whether keepalive
// probes are answered: o.Probes of them, a second apart. An error means that nobody was
// asked.
func Answers(ctx context.Context, o Options) (*probe.Answers, error) {
	out := &probe.Answers{Target: o.Target, Taken: time.Now()}
	c, remote, err := reach(ctx, o)
	if err != nil {
		return nil, err
	}
	out.Remote, out.Local = remote, c.local
	out.Loopback = remote.Addr().IsLoopback() || c.local.Addr() == remote.Addr()
	l := &lodger{connection: c, step: Least}
	defer l.close(false)
	err = l.answers(ctx, o, out)
	out.Took = time.Since(out.Taken)
	return out, err
}

// answers asks until enough probes were answered, or one was not.
func (l *lodger) answers(ctx context.Context, o Options, out *probe.Answers) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if err := l.attend(o.Timeout); err != nil {
			return err
		}
		out.Broken = l.brokenBy
		switch {
		case l.decided && l.outcome == probe.Answered:
			out.Answered++
			out.Slowest = max(out.Slowest, l.answeredAfter)
			fallthrough
		case l.decided:
			out.Fate, out.Errno = l.outcome, l.errno
			if !l.sent.by.IsZero() {
				out.Wait = time.Since(l.sent.after)
				out.Probes += int(l.out - l.askedOut)
			}
			if out.Fate == probe.Closed && out.Answered > 0 {
				out.Fate, out.Ended = probe.Answered, true
				return nil
			}
			if out.Fate != probe.Answered || out.Answered >= o.Probes {
				return nil
			}
			// Keepalive is on: the kernel sends the next one by itself.
			l.await()
		case l.asked.IsZero() && !time.Now().Before(l.due):
			if err := l.question(); err != nil {
				if e := l.look(); e != nil || l.ended.by.IsZero() {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			if out.Answered > 0 {
				out.Interrupted = true
				return nil
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// await waits for the answer to a further probe.
func (l *lodger) await() {
	l.decided, l.sent = false, moment{}
	l.asked, l.before = time.Now(), l.crossed.last
	l.askedIn, l.askedOut, l.askedHeard = l.in, l.out, l.heard
}
