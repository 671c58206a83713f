package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet/lab"
)

// pool is several connections between the same two processes.
type pool []*connectedPair

// another opens one more connection between the processes of a pair, with options
// for the client's end.
func (p *connectedPair) another(ctx context.Context, options []option) (*connectedPair, error) {
	one := *p
	if err := one.connect(ctx, netip.AddrPort{}); err != nil {
		return nil, err
	}
	return &one, one.set(ctx, options)
}

// others opens n more.
func (p *connectedPair) others(ctx context.Context, n int, options []option) (pool, error) {
	var all pool
	for len(all) < n {
		one, err := p.another(ctx, options)
		if err != nil {
			return all, err
		}
		all = append(all, one)
	}
	return all, nil
}

// set sets options at the client's end.
func (p *connectedPair) set(ctx context.Context, options []option) error {
	_, err := p.client.must(ctx, callSet, setCall{p.inClient, options})
	return err
}

// talk makes a request and waits for the answer.
func (p *connectedPair) talk(ctx context.Context) error {
	if _, err := p.client.must(ctx, callWrite, writeCall{p.inClient, []byte(request)}); err != nil {
		return err
	}
	if err := p.server.reads(ctx, p.inServer, len(request)); err != nil {
		return err
	}
	if _, err := p.server.must(ctx, callWrite, writeCall{p.inServer, []byte(answer)}); err != nil {
		return err
	}
	return p.client.reads(ctx, p.inClient, len(answer))
}

// reads waits for a message of n bytes.
func (c caller) reads(ctx context.Context, fd, n int) error {
	all, err := c.awaits(ctx, fd)
	switch {
	case err != nil:
		return err
	case all[0].Failure != nil:
		return fmt.Errorf("%s[%d]: %v", c.Name, c.PID, all[0].Failure)
	case all[0].Bytes != n:
		return fmt.Errorf("%s[%d]: read() gave %d bytes, not %d", c.Name, c.PID, all[0].Bytes, n)
	}
	return nil
}

// awaits has the process read from each, and waits until it can tell what that
// gave.
func (c caller) awaits(ctx context.Context, fds ...int) (all []awaited, err error) {
	err = c.Cue(ctx, callAwait, awaitCall{fds}, &all)
	return all, err
}

// waiting has the process read from each, while the play goes on: the process
// can do nothing else until then. What it gives is to be called once.
func (c caller) waiting(ctx context.Context, fds ...int) (outcome func() ([]awaited, error)) {
	type result struct {
		all []awaited
		err error
	}
	done := make(chan result, 1)
	go func() {
		all, err := c.awaits(ctx, fds...)
		done <- result{all, err}
	}()
	return func() ([]awaited, error) {
		r := <-done
		return r.all, r.err
	}
}

// timedOut makes sure that a read() failed with ETIMEDOUT.
func (a awaited) timedOut() error {
	if a.Failure == nil {
		return fmt.Errorf("read() gave %d bytes (end: %v), and was to fail with ETIMEDOUT", a.Bytes, a.End)
	}
	return failsBy(a.Failure, "read", "ETIMEDOUT")
}

// inClient gives the client's descriptors.
func (all pool) inClient() []int {
	var fds []int
	for _, p := range all {
		fds = append(fds, p.inClient)
	}
	return fds
}

// clientSends matches what the client sends on any of them; serverSends what the
// server does.
func (all pool) clientSends(m lab.Match) lab.Match {
	return all.match(func(p *connectedPair) lab.Match { return p.clientSends(m) })
}

func (all pool) serverSends(m lab.Match) lab.Match {
	return all.match(func(p *connectedPair) lab.Match { return p.serverSends(m) })
}

func (all pool) match(of func(*connectedPair) lab.Match) lab.Match {
	return func(c *lab.Crossing) bool {
		for _, p := range all {
			if of(p)(c) {
				return true
			}
		}
		return false
	}
}

// heard gives when the last segment came to the client, of those that crossed.
func (p *connectedPair) heard(crossed []lab.Crossing) (at time.Time, ok bool) {
	last := lastOf(crossed, arrived(p.serverSends(lab.AnySegment)))
	if last == nil {
		return at, false
	}
	return time.Unix(0, last.Segment.At), true
}

// tick is more than a clock of the kernel that counts ticks may differ from one
// that does not.
const tick = 50 * time.Millisecond
