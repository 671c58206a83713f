// Package probe explains attempts to connect, those that are made for it and those of
// other programs that were seen to fail: from the attempt, and from what was read of
// the machine around it, it says why it ended as it did. And it says what follows from
// what was measured of a server, of a way or of a peer.
// It judges values and reaches nothing; the packages below it make them.
package probe

import (
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Step is the call at which an attempt ended.
type Step uint8

// The steps.
const (
	StepConnect Step = iota
	StepSocket
	StepBind
	StepAccept
)

// String names the call.
func (s Step) String() string {
	return [...]string{"connect()", "socket()", "bind()", "accept()"}[min(s, StepAccept)]
}

// Attempt is one try to open a connection, and how it ended.
type Attempt struct {
	Remote netip.AddrPort
	Bind   netip.AddrPort // bound to first; the zero value for nothing, port 0 for any port

	Step   Step // where it ended
	Errno  Errno
	GaveUp bool          // no answer came in the time that it was given; Errno is 0
	Took   time.Duration // of connect(); below 0 where not known
	SYNs   int           // sent by what stayed without an answer, 0 where not known

	Seen *Sight // of what another program did; nil for an attempt of one's own

	Local netip.AddrPort // of what connected, or was seen to fail; port 0 where none was found

	// Of what connected:
	Timestamps, Keepalive bool // TCP timestamps agreed upon; SO_KEEPALIVE as a socket begins
}

// Connected tells whether the handshake was completed.
func (a *Attempt) Connected() bool { return a.Errno == 0 && !a.GaveUp }

// Self tells whether the socket has connected to itself.
func (a *Attempt) Self() bool { return a.Connected() && a.Local.IsValid() && a.Local == a.Remote }

// Route is what the routing table answers for a remote address.
type Route struct {
	Errno  Errno      // the answer where there is no way, 0 else
	Source netip.Addr // the source that would be chosen, the zero Addr for none
	Via    netip.Addr // the next hop, the zero Addr for none
	Link   string     // the interface, "" where not known
	Local  bool       // it ends in this namespace
	Many   bool       // it is a broadcast or multicast address
	NoLink bool       // the address names an interface that the namespace does not have
	Known  bool       // the table was asked
}

// Origin is where an address of the target came from.
type Origin struct {
	Addr  netip.Addr
	From  string // "as given", "/etc/hosts", "DNS 10.0.0.2:53"
	Route Route
}

// Scene is what was read around an attempt. The Census is of the namespace in
// which it was made, and was taken before it; see Sight for what was seen. Where
// nothing was read it is empty.
type Scene struct {
	Census  *tcpvet.Census
	Netns   tcpvet.NetnsID
	Process tcpvet.Process // in whose place it was made, zero for none

	Target string // as it was asked for
	Route  Route  // to the remote address, from the bound one if any

	// LoopbackUp is known where LinksKnown.
	LoopbackUp, LinksKnown bool

	// Same is the connection that has the four numbers that were asked for,
	// OnPort what else has the source port that was asked for; nil for none.
	Same, OnPort *tcpvet.Socket

	// Earlier are the local ports of earlier attempts at the same address.
	Earlier []uint16

	// Others is a look at the listeners and addresses of every namespace of the
	// host, for a remote address that may be in another one; nil for none.
	Others *tcpvet.Census

	// Lost is by how much conntrack's insert_failed grew during the attempt.
	Lost uint64

	// NeighborFailed tells that the next hop has no link address: its state is
	// FAILED or INCOMPLETE.
	NeighborFailed bool
}

// Verdict is why an attempt ended as it did.
type Verdict struct {
	Cause     tcpvet.Cause // NoCause for what connected
	Certainty tcpvet.Certainty
	Text      []string // sentences, the first by itself enough
	Evidence  []tcpvet.Evidence
	Remedies  []tcpvet.Remedy
}
