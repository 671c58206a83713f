// Package source looks at sockets: on this machine, by the best means that it
// allows, or in what somebody saved.
package source

import (
	"context"

	"github.com/tcpvet/tcpvet"
)

// Source can look at sockets.
type Source interface {
	// Name is a word for reports: netlink, procfs, or the kind of file.
	Name() string

	// Facts gives those of want that a look which wants them would tell.
	Facts(want tcpvet.Facts) tcpvet.Facts

	// Look sees everything once, in the order that Observer states. What
	// could not be read goes to o.Gap; an error means that the look ended
	// early and what o received is incomplete. It is o's own error where o
	// returned one.
	Look(ctx context.Context, q Query, o tcpvet.Observer) error
}

// Query says what a look is for, so that it costs no more than that. The zero
// value asks for every socket of one's own namespace, and for nothing about it
// that costs extra.
type Query struct {
	// States narrows the look; 0 asks for all. Listeners come anyway when
	// Want holds FactListeners.
	States tcpvet.StateSet

	// Want names the facts that are worth an effort: tcp_info, holders,
	// containers, settings. A source may tell more than that.
	Want tcpvet.Facts

	Netns Namespaces

	// Filter is a program in INET_DIAG_REQ_BYTECODE that a source may let
	// the kernel run, so that sockets which it rejects need not be told.
	// Listeners come anyway when Want holds FactListeners.
	Filter []byte
}

// Namespaces selects network namespaces.
type Namespaces struct {
	All bool // every one that can be found
	// Names holds names, inodes ("4026532177", "net:[4026532177]") and
	// PIDs ("pid:4121"); where it is empty and All is false, one's own
	// namespace is looked at.
	Names []string
}

// states gives the states to ask for: listeners come first, so that the roles of
// the others can be told.
func (q Query) states() tcpvet.StateSet {
	states := q.States
	if states == 0 {
		states = tcpvet.AllStates
	}
	if q.Want.Has(tcpvet.FactListeners) {
		states |= tcpvet.SetOf(tcpvet.Listen)
	}
	return states
}
