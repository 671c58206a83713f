package keepalive

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/opened"
)

// TCPDialer opens connections that are kept alive. It serves wherever a DialContext
// function, a proxy.Dialer or a proxy.ContextDialer of golang.org/x/net is asked for.
// What it gives for TCP is a *net.TCPConn, so that splice(2), sendfile(2) and writev(2)
// are used as ever. Its methods may be called from several goroutines at a time. It
// need not be closed.
type TCPDialer struct {
	net     net.Dialer
	base    net.Dialer
	timers  tcpvet.Timers
	invalid error
	stats   *Stats
	tracked []*opened.Book
	leaks   *leakWatch
	budget  *budgets
	local   netip.Addr // the source address that Base asks for, if it does
	chosen  bool       // Base asks for a local port too
}

// Dialer gives a dialer of the options. They are looked at now: a later change has no
// effect. With options that Validate objects to, each dial fails.
func Dialer(o Options) *TCPDialer {
	d := &TCPDialer{base: o.Base, timers: o.timers(), invalid: o.Validate(), stats: o.Stats}
	if d.stats == nil {
		d.stats = new(Stats)
	} else {
		d.tracked = append(d.tracked, &d.stats.book)
	}
	d.net = o.Base
	d.net.Timeout = orDefault(o.ConnectTimeout, defaultConnect)
	d.net.KeepAlive = 0
	d.net.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: d.timers.Idle, Interval: d.timers.Interval, Count: d.timers.Count}
	d.net.Control, d.net.ControlContext = nil, d.control
	if a, ok := o.Base.LocalAddr.(*net.TCPAddr); ok && a != nil {
		d.local, d.chosen = a.AddrPort().Addr().Unmap(), a.Port != 0
		if d.local.IsUnspecified() {
			d.local = netip.Addr{}
		}
	}
	if o.TrackLeaks {
		d.leaks = newLeakWatch(&o, d.stats)
		d.tracked = append(d.tracked, &d.leaks.book)
	}
	if o.Budget != nil && d.invalid == nil {
		d.budget = newBudgets(*o.Budget)
	}
	return d
}

// Dial is DialContext without a context.
func (d *TCPDialer) Dial(network, address string) (net.Conn, error) {
	return d.dial(context.Background(), network, address)
}

// DialContext connects as net.Dialer.DialContext does, and with a Budget waits its turn
// first. Where no local port is left, the error is a *PortsExhausted or a
// *BudgetExceeded.
func (d *TCPDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dial(ctx, network, address)
}

// ours are the calls between the program's and opened.Note's.
const ours = 2

func (d *TCPDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.invalid != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: d.invalid}
	}
	a := &attempt{budget: d.budget, began: time.Now()}
	conn, err := d.try(context.WithValue(ctx, attemptKey{}, a), a, network, address)
	if a.queued {
		d.stats.waited.Add(1)
	}
	if err != nil {
		d.stats.failed.Add(1)
		if _, ok := errors.AsType[*BudgetExceeded](err); ok {
			d.stats.exceeded.Add(1)
		}
		if _, ok := errors.AsType[*PortsExhausted](err); ok {
			d.stats.exhausted.Add(1)
		}
		return nil, err
	}
	d.stats.opened.Add(1)
	c := opened.Note(ctx, conn, "keepalive", ours, slices.Concat(d.tracked, a.books())...)
	a.won(c)
	if d.leaks != nil {
		d.leaks.arm()
	}
	return conn, nil
}

// try dials until there is a port for it, where the budget waits.
func (d *TCPDialer) try(ctx context.Context, a *attempt, network, address string) (net.Conn, error) {
	for {
		conn, err := d.net.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		a.lost()
		key, ports, none := d.noPort(err)
		if none && ports.full() {
			err = d.exhausted(err, key, ports)
		}
		if d.budget == nil || d.budget.FailFast {
			return nil, err
		}
		full, held := errors.AsType[*BudgetExceeded](err)
		switch {
		case held:
			err = d.budget.wait(ctx, a, tupleKey{full.Local, full.Remote})
		case none:
			err = d.budget.amiss(ctx, a, key, ports, err)
		}
		if err != nil {
			return nil, err
		}
	}
}

// control prepares a socket before it connects.
func (d *TCPDialer) control(ctx context.Context, network, address string, c syscall.RawConn) error {
	switch {
	case d.base.ControlContext != nil:
		if err := d.base.ControlContext(ctx, network, address, c); err != nil {
			return err
		}
	case d.base.Control != nil:
		if err := d.base.Control(network, address, c); err != nil {
			return err
		}
	}
	switch network {
	case "tcp4", "tcp6":
	default:
		return nil
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = setUserTimeout(fd, d.timers.UserTimeout)
		if failed == nil && d.base.LocalAddr != nil && !d.chosen {
			failed = chooseLate(fd)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if d.budget == nil || d.chosen {
		return nil
	}
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	remote, err := netip.ParseAddrPort(address)
	if a == nil || err != nil {
		return nil
	}
	return a.take(tupleKey{d.local, plain(remote)})
}

// plain gives an endpoint as the kernel counts it: IPv4 where it is mapped, without a
// zone.
func plain(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
