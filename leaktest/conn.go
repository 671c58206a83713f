package leaktest

import (
	"net/netip"
	"runtime"
	"strings"
	"time"
)

// Conn is a connection that was left open.
type Conn struct {
	Local, Remote netip.AddrPort // IPv4-mapped addresses are made IPv4; zero where a reset took it away

	// State is the state as ss prints it: "ESTAB", "CLOSE-WAIT". It is "UNCONN" of a
	// connection that has ended while its descriptor stays open, and "" on a system
	// that does not tell.
	State string

	// Accepted tells that this end was accepted by a listener; of others the process
	// called connect, or it is not known.
	Accepted bool

	// Hook is through what it was opened: "http.DefaultTransport", "http.Transport",
	// "leaktest.Dialer", "keepalive". "" is anything else, and then Opened is zero
	// and Stack nil.
	Hook   string
	Opened time.Time

	// Stack is the calls of the request that was given the connection last, or of the
	// dial, innermost first.
	Stack []runtime.Frame
}

// By tells whether a function, or one of a package, is among the calls that opened the
// connection: "example.com/app.(*Pool).grow", "database/sql".
func (c Conn) By(name string) bool {
	for _, f := range c.Stack {
		if rest, ok := strings.CutPrefix(f.Function, name); ok && name != "" && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

func (l *leak) conn() Conn {
	c := Conn{Local: l.local, Remote: l.remote, State: l.state, Accepted: l.opener == acceptedHere}
	if l.entry != nil {
		c.Local, c.Remote = l.entry.conn.Local, l.entry.conn.Remote // a reset takes the socket's own
		c.Hook, c.Opened = l.entry.conn.Hook, l.entry.conn.Opened
		c.Stack, _, _ = l.callers()
	}
	return c
}
