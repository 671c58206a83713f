package cli

import (
	"os"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/filter"
)

// choice is which events are told.
type choice struct {
	sel    *selection
	own    int32         // this process: what it does to explain others is not told
	socket tcpvet.Socket // what an event tells of a socket, as a filter reads it
	info   tcpvet.ProcessInfo
	lookup func(tcpvet.Process) tcpvet.ProcessInfo
}

// newChoice refuses a filter that asks for what no event tells.
func newChoice(sel *selection, states bool) (*choice, error) {
	const told = "an event tells src, dst, sport, dport, role and cookie, and with --states the state that a socket comes to"
	// The role of a socket that is followed from its begin needs no listeners.
	const known = tcpvet.FactCookie | tcpvet.FactListeners | tcpvet.FactPortRange
	f := sel.filter
	switch missing := f.Needs() &^ known; {
	case missing != 0:
		return nil, usage("the filter asks for %s: %s", missing, told)
	case f.NamesLink():
		return nil, usage("the filter asks for the link of an address: %s; leave out what follows %%", told)
	case f.States() != tcpvet.AllStates && !states:
		return nil, usage("the filter asks for a state: %s; leave it out, or trace --states", told)
	}
	c := &choice{sel: sel, own: int32(os.Getpid())}
	c.lookup = func(tcpvet.Process) tcpvet.ProcessInfo { return c.info }
	return c, nil
}

// has tells whether an event is told. Lost events always are. It does not allocate.
func (c *choice) has(e *tcpvet.Event) bool {
	if e.Kind == tcpvet.EventLost {
		return true
	}
	if e.Process.PID == c.own {
		return false
	}
	if !c.sel.filter.All() {
		c.socket = tcpvet.Socket{Netns: e.Netns, State: e.To, Role: e.Role, Local: e.Local, Remote: e.Remote}
		if e.Cookie != 0 {
			c.socket.Cookie, c.socket.Known = e.Cookie, tcpvet.FactCookie
		}
		if c.sel.filter.Judge(&c.socket) != filter.True {
			return false
		}
	}
	if c.sel.holderless() {
		return true
	}
	c.info = tcpvet.ProcessInfo{Comm: e.Comm, Container: e.Container}
	return c.sel.matchHolder(e.Process, c.lookup)
}
