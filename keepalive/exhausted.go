package keepalive

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// PortsExhausted is a connect that failed because each local port to its destination
// was taken. It wraps the error of package net, so that errors.Is with
// syscall.EADDRNOTAVAIL holds. It is told on Linux alone, and only where the kernel's
// list of sockets shows it: the same errno has other causes, as a source address that
// this host does not have, and then the error is left as it is.
type PortsExhausted struct {
	Local  netip.Addr     // the source address
	Remote netip.AddrPort // the destination

	Low, High uint16         // net.ipv4.ip_local_port_range, both inclusive
	Reserved  int            // ports of the range in net.ipv4.ip_local_reserved_ports
	Taken     map[string]int // the other ports by the state of their socket as ss prints it, whoever has it
	Listening int            // ports that a listener keeps from being chosen

	// OwnLeaks are connections of this program to that destination in CLOSE-WAIT, the
	// oldest first, at most 10 of OwnLeakCount. They are known with TrackLeaks.
	OwnLeaks     []Leak
	OwnLeakCount int
	Tracked      bool // TrackLeaks is on

	Err error // of package net

	budgeted bool
}

const mostOwnLeaks = 10

// Error gives the numbers and what to do.
func (e *PortsExhausted) Error() string {
	var b strings.Builder
	total := 0
	for _, n := range e.Taken {
		total += n
	}
	usable := int(e.High) - int(e.Low) + 1 - e.Reserved
	fmt.Fprintf(&b, "%v: no local port is left from %s to %s: %d of %d are taken", e.Err, e.Local, e.Remote, total, usable)
	if total > 0 {
		b.WriteString(" (")
		for i, state := range slices.SortedFunc(maps.Keys(e.Taken), func(a, c string) int { return e.Taken[c] - e.Taken[a] }) {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%d %s", e.Taken[state], state)
		}
		b.WriteString(")")
	}
	if e.Listening > 0 {
		fmt.Fprintf(&b, ", %d by listeners", e.Listening)
	}
	fmt.Fprintf(&b, "; the range is %d-%d", e.Low, e.High)
	if e.Reserved > 0 {
		fmt.Fprintf(&b, " with %d reserved", e.Reserved)
	}
	b.WriteString("; ")
	b.WriteString(e.advice())
	return b.String()
}

// advice says what to do next, by what takes the most.
func (e *PortsExhausted) advice() string {
	closeWait, timeWait, rest := e.Taken["CLOSE-WAIT"], e.Taken["TIME-WAIT"], 0
	for _, n := range e.Taken {
		rest += n
	}
	rest -= closeWait + timeWait
	switch {
	case e.OwnLeakCount > 0:
		s := fmt.Sprintf("this program leaks %d of them", e.OwnLeakCount)
		if at := e.OwnLeaks[0].Caller; at.Function != "" {
			s += fmt.Sprintf(", the oldest from %s at %s:%d", at.Function, at.File, at.Line)
		}
		return s + ": close the response body, or the connection"
	case closeWait > max(timeWait, rest):
		s := "their peers have closed and a program here has not: find it with ss -tnp state close-wait"
		if !e.Tracked {
			s += ", or set TrackLeaks"
		}
		return s
	case timeWait > rest:
		return "connections are opened and closed faster than ports come back: reuse connections" + e.budget()
	case rest > 0:
		return "they are open: bound the pool with MaxPerHost" + e.budget()
	}
	return "the range leaves none: look at net.ipv4.ip_local_port_range and ip_local_reserved_ports"
}

// budget is an advice to who has none.
func (e *PortsExhausted) budget() string {
	if e.budgeted {
		return ""
	}
	return ", or set a Budget"
}

// Unwrap gives the error of package net.
func (e *PortsExhausted) Unwrap() error { return e.Err }

// Timeout is false, as of a net.Error.
func (e *PortsExhausted) Timeout() bool { return false }

// Temporary is true: ports come back.
func (e *PortsExhausted) Temporary() bool { return true }

// noPort tells whether a dial found no local port, and to where: it is the errno of
// connect(2), for a destination that there is a source address for, and the port was
// the kernel's to choose. Then nothing else has it. t is how the ports are now.
func (d *TCPDialer) noPort(err error) (key tupleKey, t taken, ok bool) {
	if kernelTable == nil || d.chosen || !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return key, t, false
	}
	// bind(2) says so of an address that this host does not have.
	call, ok := errors.AsType[*os.SyscallError](err)
	if !ok || call.Syscall != "connect" {
		return key, t, false
	}
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return key, t, false
	}
	to, ok := op.Addr.(*net.TCPAddr)
	if !ok {
		return key, t, false
	}
	key = tupleKey{d.local, plain(to.AddrPort())}
	t, unread := lately.ask(key)
	return key, t, unread == nil
}

// exhausted puts into words that a dial found no port.
func (d *TCPDialer) exhausted(err error, key tupleKey, t taken) *PortsExhausted {
	e := &PortsExhausted{
		Local: t.local, Remote: key.remote, Low: t.low, High: t.high, Reserved: t.reserved,
		Taken: maps.Clone(t.states), Listening: t.listens, Tracked: d.leaks != nil, Err: err, budgeted: d.budget != nil,
	}
	e.OwnLeaks, e.OwnLeakCount = d.leaks.toward(key.remote, mostOwnLeaks)
	return e
}

// lately keeps for a moment that a destination has no port left: every dial to it fails
// then, and to ask takes as long as to open some hundred connections.
var lately = recent{last: map[tupleKey]answer{}}

type recent struct {
	mu   sync.Mutex
	last map[tupleKey]answer
}

type answer struct {
	taken
	until time.Time
}

// An answer serves for twenty times as long as it took, and freshFor at least.
const freshFor = 100 * time.Millisecond

func (r *recent) ask(key tupleKey) (taken, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	began := time.Now()
	if a, ok := r.last[key]; ok && began.Before(a.until) {
		return a.taken, nil
	}
	maps.DeleteFunc(r.last, func(_ tupleKey, a answer) bool { return began.After(a.until) })
	t, err := kernelTable(key)
	if err != nil {
		return taken{}, err
	}
	// That there is room may have become so since this dial failed, and not be so for
	// the next one.
	if now := time.Now(); t.full() {
		r.last[key] = answer{t, now.Add(min(max(20*now.Sub(began), freshFor), time.Second))}
	}
	return t, nil
}
