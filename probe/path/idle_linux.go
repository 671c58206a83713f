package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// Options say what to measure.
type Options struct {
	Target  string // as it was asked for
	Host    string // an address or a name
	Port    uint16
	Family  int           // 4, 6, or 0 for either
	Timeout time.Duration // for a handshake, and for the answer to a probe

	// Of Idle alone.
	Steps []time.Duration // for how long to leave connections idle, rising; each at least Least
	Write []byte          // what is sent on each connection first, nil for nothing
	Tell  func(Progress)  // is called every second, nil for nobody

	// Of Answers alone.
	Probes int
}

// Progress is how far a measurement has come.
type Progress struct {
	Elapsed, Most time.Duration
	Open, Asked   int
}

const (
	watchEvery = 50 * time.Millisecond
	askEvery   = 5 * time.Millisecond // while an answer is awaited
)

// measurement is one of Idle under way.
type measurement struct {
	o      Options
	remote netip.AddrPort
	begin  time.Time
	late   time.Duration // an answer that takes longer is a bad sign

	lodgers []*lodger
	opened  chan opening // what is being opened ends up here
	opening int

	waiting []time.Duration // when the spare ones are opened, rising
	fresh   *lodger         // the last that was opened to see whether the peer can be reached
	refused bool            // it could not be opened

	failed int    // others that could not be opened
	why    string // the first of them
}

// opening is a connection that was to be opened.
type opening struct {
	*lodger
	err error
}

// Idle leaves connections idle, each for longer than the last, and asks each whether it
// is still known. An error means that nothing was measured: nobody listens there, or
// the kernel refused. What ctx ends is told so far.
func Idle(ctx context.Context, o Options) (*probe.Idle, error) {
	m := &measurement{o: o, opened: make(chan opening), late: min(time.Second, o.Timeout/5)}
	out := &probe.Idle{Target: o.Target, Taken: time.Now(), Most: o.Steps[len(o.Steps)-1], Wrote: len(o.Write)}
	first, err := m.reach(ctx)
	if err != nil {
		return nil, err
	}
	out.Remote = m.remote
	out.Loopback = m.remote.Addr().IsLoopback() || first.local.Addr() == m.remote.Addr()
	m.begin = time.Now()
	m.waiting = offsets(o.Steps)
	defer m.leave(out)
	steps := slices.Clone(o.Steps)
	m.admit(&lodger{connection: first, step: steps[len(steps)-1]})
	for _, s := range steps[:len(steps)-1] {
		m.open(ctx, &lodger{step: s})
	}
	m.open(ctx, &lodger{step: steps[len(steps)-1]}) // the one that confirms a loss
	err = m.run(ctx)
	out.Took = time.Since(out.Taken)
	out.Interrupted = err == nil && ctx.Err() != nil
	m.tell(out)
	return out, err
}

// reach opens the first connection, to the first address that answers.
func (m *measurement) reach(ctx context.Context) (*connection, error) {
	c, remote, err := reach(ctx, m.o)
	m.remote = remote
	if err != nil {
		return nil, err
	}
	if err := m.write(c); err != nil {
		c.abandon()
		return nil, err
	}
	return c, nil
}

func reach(ctx context.Context, o Options) (c *connection, remote netip.AddrPort, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*o.Timeout)
	defer cancel()
	addrs, err := resolve(ctx, o.Host, o.Family)
	if err != nil {
		return nil, remote, err
	}
	for _, addr := range addrs {
		remote = netip.AddrPortFrom(addr, o.Port)
		if c, err = open(ctx, remote, o.Timeout); err == nil {
			return c, c.remote, nil
		}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno // without package net's own words for the call
	} else if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		err = fmt.Errorf("no answer in %s", o.Timeout)
	}
	return nil, remote, fmt.Errorf("connect to %s: %w", remote, err)
}

func (m *measurement) write(c *connection) error {
	if len(m.o.Write) == 0 {
		return nil
	}
	_ = c.tcp.SetWriteDeadline(time.Now().Add(m.o.Timeout))
	if _, err := c.tcp.Write(m.o.Write); err != nil {
		return fmt.Errorf("write %d bytes to %s: %w", len(m.o.Write), m.remote, err)
	}
	return nil
}

// open opens a connection for l in the background.
func (m *measurement) open(ctx context.Context, l *lodger) {
	m.opening++
	go func() {
		c, err := open(ctx, m.remote, m.o.Timeout)
		if err == nil && !l.fresh {
			err = m.write(c)
		}
		l.connection = c
		m.opened <- opening{l, err}
	}()
}

func (m *measurement) admit(l *lodger) { m.lodgers = append(m.lodgers, l) }

// settle takes what was opened.
func (m *measurement) settle(o opening) {
	m.opening--
	if o.err == nil {
		m.admit(o.lodger)
		return
	}
	if o.connection != nil {
		o.connection.abandon()
	}
	switch {
	case o.fresh:
		m.refused = m.refused || o.lodger == m.fresh
	case errors.Is(o.err, context.Canceled): // it was broken off
	default:
		if m.failed++; m.why == "" {
			m.why = o.err.Error()
		}
	}
}

func (m *measurement) run(ctx context.Context) error {
	tick := time.NewTimer(0)
	defer tick.Stop()
	told := m.begin
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-m.opened:
			m.settle(o)
		case <-tick.C:
			done, err := m.round(ctx)
			if done || err != nil {
				return err
			}
			if m.o.Tell != nil && time.Since(told) >= time.Second {
				told = time.Now()
				m.o.Tell(m.progress())
			}
			every := watchEvery
			if slices.ContainsFunc(m.lodgers, (*lodger).pending) {
				every = askEvery
			}
			tick.Reset(every)
		}
	}
}
