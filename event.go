package tcpvet

import (
	"net/netip"
	"time"
)

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	EventOpen  EventKind = iota + 1 // a handshake was completed, at this end
	EventFail                       // connect(), bind(), socket() or accept() failed
	EventState                      // a socket went from one state to another
	EventClose                      // a connection is over: its socket is in no state any more, or in TIME-WAIT
	EventLost                       // Count events were not seen
)

// String gives the kind's word, as docs/json.md lists them.
func (k EventKind) String() string {
	switch k {
	case EventOpen:
		return "open"
	case EventFail:
		return "fail"
	case EventState:
		return "state"
	case EventClose:
		return "close"
	case EventLost:
		return "lost"
	}
	return "unknown"
}

// KnownBy says how the process of an Event is known.
type KnownBy uint8

// The ways to know a process.
const (
	ByNothing KnownBy = iota // it is not known
	ByTask                   // it was running when the event happened, in a call of its own
	ByCookie                 // it was seen with the same socket at another time
)

// String gives the word of docs/json.md.
func (b KnownBy) String() string {
	switch b {
	case ByTask:
		return "task"
	case ByCookie:
		return "cookie"
	}
	return "none"
}

// Closer says which end of a connection sent the first FIN, or the RST where there
// was no FIN.
type Closer uint8

// The closers.
const (
	CloserUnknown Closer = iota // it happened before the trace began, or nobody closed it
	CloserLocal
	CloserRemote
	CloserBoth // each end sent its FIN before it saw the other's
)

// String gives the word of docs/json.md, "" where it is not known.
func (c Closer) String() string {
	switch c {
	case CloserLocal:
		return "local"
	case CloserRemote:
		return "remote"
	case CloserBoth:
		return "both"
	}
	return ""
}

// CloseHow says how a connection ended.
type CloseHow uint8

// The ways to end.
const (
	HowUnknown CloseHow = iota
	HowFIN              // by FIN from this end at least; the other's may still be to come
	HowRST              // by RST, of either end
	HowTimeout          // nothing came: retransmissions, keepalive probes or window probes were in vain
)

// String gives the word of docs/json.md, "" where it is not known.
func (h CloseHow) String() string {
	switch h {
	case HowFIN:
		return "fin"
	case HowRST:
		return "rst"
	case HowTimeout:
		return "timeout"
	}
	return ""
}

// Call is the system call that an EventFail is about.
type Call uint8

// The calls.
const (
	CallConnect Call = iota
	CallBind
	CallSocket
	CallAccept
)

// String names the call as a text does, "connect()".
func (c Call) String() string {
	return [...]string{"connect()", "bind()", "socket()", "accept()"}[min(c, CallAccept)]
}

// Name gives the word of docs/json.md, "connect".
func (c Call) Name() string {
	return [...]string{"connect", "bind", "socket", "accept"}[min(c, CallAccept)]
}

// Event is what happened to a connection, at one of its ends on this machine. What is
// not known is the zero value, unless the field says otherwise.
type Event struct {
	Kind   EventKind
	At     time.Time
	Netns  NetnsID
	Cookie uint64 // of the socket, 0 where none was seen

	// Process is who holds the socket, or made the call; Nobody where that is not
	// known, Unseen where it is in no PID namespace that the reader sees.
	Process   Process
	Comm      string // name of the process
	KnownBy   KnownBy
	Container *Container

	Role   Role // RoleUnknown where the socket was opened before the trace began
	Local  netip.AddrPort
	Remote netip.AddrPort

	// Of EventFail:
	Call  Call
	Errno int // as errno(3), positive; 0 where the program closed what was pending
	// Cause is why it failed; of EventClose CauseReset where the peer's RST ended it.
	Cause Cause
	SYNs  uint8 // sent, 0 where that is not known

	From, To State // of EventState, and the last change of the others; Unconn is CLOSED

	// Took is the time of the handshake for EventOpen, until the failure for
	// EventFail, in From for EventState, since the connection was open for
	// EventClose; below 0 where that is not known, as what it counts from was before
	// the trace began.
	Took time.Duration

	// Of EventClose:
	First     Closer
	How       CloseHow
	CloseWait time.Duration // in CLOSE-WAIT, below 0 where its begin was not seen

	Stack []Frame // of the thread that opened it, innermost first; nil where not asked for or not known

	// Count is how many events were lost, or how many alike an EventFail stands for;
	// 0 is 1.
	Count uint64
}

// Frame is one call on a stack.
type Frame struct {
	Symbol    string // demangled; "" where none is known
	File      string // "" where not known
	Line      int    // 0 where not known
	Module    string // base name of the file that holds the code, "" for none
	Address   uint64 // in the file that holds the code; in memory where there is none
	Certainty Certainty
}
