package trace

import "github.com/tcpvet/tcpvet"

// Kinds is a set of kinds of events.
type Kinds uint8

// The kinds that can be asked for. tcpvet.EventLost always comes.
const (
	Opens Kinds = 1 << iota
	Fails
	States
	Closes

	allKinds = 1<<iota - 1
)

// Options is what to trace. The zero value is: what opens, fails and closes, in every
// network namespace.
type Options struct {
	// Kinds are the ones that the kernel is to tell; 0 is Opens, Fails and Closes.
	Kinds Kinds

	// Netns are the network namespaces to look at; none is all.
	Netns []tcpvet.NetnsID

	// Calls adds the failures of connect(), bind(), socket() and accept() that
	// change no socket's state.
	Calls bool

	// Stacks adds to each event the calls that opened its socket. Frames makes them
	// readable, while the process may be gone; without it they are addresses. Python
	// is as in StacksOptions.
	Stacks bool
	Frames Frames
	Python func(tcpvet.Process) []byte

	// Choose tells of an event, which lacks its stack yet, whether it is to have one: to
	// read it takes the most time of all. Errno, Cause and Count of a failure may change
	// until it is handed over. nil is all.
	Choose func(*tcpvet.Event) bool

	// Connections is how many are followed at once: 0 is 262,144. One takes about
	// 200 bytes of the kernel's memory; a quarter have a place of 88 bytes each from
	// the start, which is found by the low bits of a socket's cookie. What finds no
	// room, as it may from three quarters on, is told all the same, as far as it can
	// be without what was before: see Stats.
	Connections int

	// Ring is the room for what was not read yet, in bytes: 0 is 4 MiB. It is
	// rounded up to a power of two.
	Ring int

	// PassShare is the part of one processor's time that may be spent on passes
	// over the descriptors of all processes, by which what was accepted is known;
	// 0 is a hundredth, below 0 none. While they find little of what is wanted they
	// get a tenth of that.
	PassShare float64

	// Idle is called when everything that had come was handed over, some 20 times
	// a second: the place to flush. Its error ends Run. It may be nil.
	Idle func() error
}

// Bounds of Options.
const (
	usualConnections = 1 << 18
	mostConnections  = 1 << 24
	usualRing        = 4 << 20
	leastRing        = 64 << 10 // the largest page of a supported machine
	mostRing         = 1 << 30
	usualPassShare   = 0.01
)

// Stats say how a trace goes.
type Stats struct {
	Events     uint64 // handed over, EventLost apart
	Lost       uint64 // not seen, as the ring had no room or the kernel passed a change over: each is in an EventLost too
	Unfollowed uint64 // connections that were not followed for lack of room
	Swept      uint64 // ends that the kernel passed over, found later; those that were to be told are in Lost
	Passes     uint64 // over the descriptors of all processes, to learn who holds what
	Lookups    uint64 // of connections whose process was not in the record
	Adopted    uint64 // sockets whose process such a pass found
}
