package tcpvet

import (
	"net/netip"
	"time"
)

// Leaks are the connections that the processes of a machine keep in CLOSE-WAIT, in
// groups of what opened them.
type Leaks struct {
	Census Census // of the look: when, by which source, the processes and what was not seen

	// OlderThan is how long a connection had to be in CLOSE-WAIT to be counted;
	// Younger counts those that were not.
	OlderThan time.Duration
	Younger   uint64

	// Traced is how long openings had been watched when the look was taken; 0 where
	// they were not.
	Traced time.Duration

	Groups []Leak // the largest first
}

// Count is the number of connections in all groups.
func (l *Leaks) Count() (n uint64) {
	for i := range l.Groups {
		n += l.Groups[i].Count
	}
	return n
}

// Leak is a group of connections in CLOSE-WAIT that one process holds, toward one
// service, and that the same calls opened.
type Leak struct {
	Process Process // that holds them; Nobody and Unseen have their own meaning
	Netns   NetnsID
	Role    Role
	Service netip.AddrPort // Socket.Service; the zero AddrPort ("other") where many were summed up

	Count  uint64
	Unsure uint64 // of Count, those that may be in CLOSE-WAIT for less than Leaks.OlderThan

	// Oldest is how long the oldest is in CLOSE-WAIT, between Low and High; By is ""
	// where that is not known.
	Oldest Age

	KnownBy StackKnownBy
	Stack   []Frame // of the thread that opened them, innermost first; nil as KnownBy tells
	Cut     bool    // the stack is deeper than what was kept

	// Creator is where the goroutine was started that ran the Stack, innermost call
	// first; nil where that is not known, or it is the main one.
	Creator []Frame

	// Asker is the stack of the goroutine for which another one opened the
	// connection, and which waited for it; nil where that is not known, or nobody.
	Asker []Frame

	Opener Process // that opened them, where it is another than Process; else the zero value
	Thread string  // the name of the thread that opened them; "" where they differ

	// Note says what the stack does not tell, "" where it tells who called; Advice
	// what to switch on so that more is known, "" for nothing.
	Note, Advice string
}

// Own gives the stack that tells best who wanted the connections, and the index in it
// of the innermost frame that is of no library, -1 for none.
func (l *Leak) Own() (stack []Frame, at int) {
	if at := Own(l.Asker); at >= 0 {
		return l.Asker, at
	}
	return l.Stack, Own(l.Stack)
}

// StackKnownBy says how a stack is known, or why it is not.
type StackKnownBy uint8

// The ways to know a stack, and not to.
const (
	StackMissing  StackKnownBy = iota // nothing was watched
	StackBefore                       // the connection was opened before the trace began
	StackUntraced                     // it was opened in a way that was not watched, or while something else was
	StackNoRoom                       // it was opened while the tables were full
	StackConnect                      // taken in the connect() that opened it
	StackAccept                       // taken at the end of the accept() that gave it
)

// String gives the word of docs/json.md.
func (k StackKnownBy) String() string {
	return [...]string{"missing", "before", "untraced", "no-room", "connect", "accept"}[min(k, StackAccept)]
}
