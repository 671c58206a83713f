package path

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

func TestNobodyThere(t *testing.T) {
	o := listen(t, func(c *net.TCPConn) {})
	taken, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := taken.Addr().(*net.TCPAddr).AddrPort()
	taken.Close()
	o.Host, o.Port = closed.Addr().String(), closed.Port()
	for name, f := range map[string]func() error{
		"idle":    func() error { _, err := Idle(t.Context(), o); return err },
		"answers": func() error { _, err := Answers(t.Context(), o); return err },
	} {
		if err := f(); !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "connect to "+closed.String()+": connection refused" {
			t.Errorf("%s of a closed port: %v", name, err)
		}
	}
	o.Host, o.Family = "::1", 4
	if _, err := Idle(t.Context(), o); err == nil || !strings.Contains(err.Error(), "::1: it is no IPv4 address") {
		t.Errorf("an address of the other family: %v", err)
	}
}

// What is told, and advised for, is the address that a connection went to.
func TestUnspecified(t *testing.T) {
	for asked, went := range map[string]string{"0.0.0.0": "127.0.0.1", "::ffff:127.0.0.1": "127.0.0.1"} {
		o := listen(t, func(c *net.TCPConn) {})
		o.Host, o.Steps = asked, []time.Duration{Least}
		a, err := Answers(t.Context(), o)
		if err != nil || a.Remote.Addr().String() != went || !a.Loopback {
			t.Errorf("%s: %+v, %v; want %s", asked, a, err, went)
		}
		i, err := Idle(t.Context(), o)
		if err != nil || i.Remote.Addr().String() != went || !i.Loopback {
			t.Errorf("%s: %+v, %v; want %s", asked, i, err, went)
		}
	}
}

// A connection on which what was to be sent could not be is closed.
func TestNothingWritten(t *testing.T) {
	o := listen(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
		c.Close()
	})
	o.Write = make([]byte, 16<<20) // more than the buffers take
	i, err := Idle(t.Context(), o)
	if i != nil || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) || !strings.HasPrefix(err.Error(), "write 16777216 bytes to ") {
		t.Errorf("%+v, %v", i, err)
	}
	m := &measurement{o: o}
	if c, err := m.reach(t.Context()); c != nil || err == nil {
		t.Errorf("%+v, %v", c, err)
	}
}

// A connection that could not be opened is not passed over in silence, unless it was
// broken off.
func TestSettle(t *testing.T) {
	m := new(measurement)
	for _, err := range []error{&net.OpError{Err: context.Canceled}, syscall.EMFILE, syscall.EADDRNOTAVAIL} {
		m.opening++
		m.settle(opening{&lodger{step: Least}, err})
	}
	var out probe.Idle
	m.tell(&out)
	if out.Failed != 2 || out.Why != syscall.EMFILE.Error() || len(out.Trials) > 0 || m.opening > 0 {
		t.Errorf("%+v", out)
	}
}

// What is asked when one was lost: some that are idle for as long, those first that were
// to be asked next, and whether the peer can be reached at all.
func TestNarrow(t *testing.T) {
	o := listen(t, func(c *net.TCPConn) {})
	m := &measurement{o: o, opened: make(chan opening)}
	_, remote, err := reach(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m.remote = remote
	lost := &lodger{step: time.Hour, decided: true, outcome: probe.Silent}
	for n := range 6 {
		c, err := open(t.Context(), remote, o.Timeout)
		if err != nil {
			t.Fatal(err)
		}
		defer c.abandon()
		m.admit(&lodger{connection: c, step: time.Duration(6-n) * time.Hour})
	}
	if err := m.narrow(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	for _, l := range m.lodgers {
		if asked := !l.asked.IsZero(); asked != (l.step <= confirming*time.Hour) {
			t.Errorf("the one that was to be idle for %v was asked: %v", l.step, asked)
		}
	}
	opened := <-m.opened
	if m.settle(opened); opened.err != nil || !opened.fresh || m.fresh != opened.lodger || m.refused {
		t.Errorf("no new connection was made: %+v", opened)
	}
	opened.connection.abandon()
}
