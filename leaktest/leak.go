package leaktest

import (
	"runtime"
)

// leak is a connection that was left open.
type leak struct {
	*socket
	other   *socket // its other end, if this process holds that too
	entry   *entry  // what a hook told of it; nil for nothing
	waiting []goroutine
	use     use
	doubt   string // why it does not count
}

// leaks makes sockets leaks: one for each connection, of which this process may hold
// both ends. It leaves out what is no connection.
func leaks(all []*socket, find func(key) *entry) []*leak {
	listening := map[uint16]bool{}
	byEnds := map[key]*socket{}
	for _, s := range all {
		if s.state == stateListen {
			listening[s.local.Port()] = true
		} else if s.remote.IsValid() {
			byEnds[key{local: s.local, remote: s.remote}] = s
		}
	}
	var found []*leak
	for _, s := range all {
		l := &leak{socket: s, entry: find(s.key)}
		if s.remote.IsValid() {
			l.other = byEnds[key{local: s.remote, remote: s.local}]
		}
		switch {
		case s.state == stateListen:
			continue
		case s.ended() && !s.used && l.entry == nil:
			continue // never connected, or about to be
		case l.other == s:
			l.other = nil // connected to itself
		}
		if l.opener == openerUnknown {
			switch {
			case l.entry != nil:
				l.opener = openedHere
			case listening[s.local.Port()] && !listening[s.remote.Port()]:
				l.opener = acceptedHere
			}
		}
		if l.other != nil && l.follows(find(l.other.key), listening) {
			continue
		}
		found = append(found, l)
	}
	return found
}

// follows tells whether this end is told of with the other one: whoever opened the
// connection has to close it. Where nothing tells who did, one of them follows.
func (l *leak) follows(other *entry, listening map[uint16]bool) bool {
	switch {
	case l.entry != nil || other != nil:
		return l.entry == nil
	case l.opener != openerUnknown:
		return l.opener == acceptedHere
	case l.other.opener != openerUnknown:
		return l.other.opener == openedHere
	case listening[l.remote.Port()]:
		return false
	}
	return l.local.Compare(l.remote) < 0 // servers take the lower ports
}

// callers gives whose calls to show: of the request that was given the connection
// last, else of what opened it.
func (l *leak) callers() (frames []runtime.Frame, caller runtime.Frame, ok bool) {
	if l.entry == nil {
		return nil, runtime.Frame{}, false
	}
	c := l.entry.conn
	if u := c.User(); u != nil {
		if caller, ok = u.Caller(); ok {
			return u.Frames(), caller, true
		}
	}
	caller, ok = c.Opener.Caller()
	return c.Opener.Frames(), caller, ok
}

// shared tells that another request than the one that opened the connection was
// given it last.
func (l *leak) shared() bool {
	if l.entry == nil {
		return false
	}
	u := l.entry.conn.User()
	return u != nil && u != l.entry.conn.Opener
}
