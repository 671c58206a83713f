package tcpvet

import (
	"net/netip"
	"strconv"
	"time"
)

// Conversation is one TCP connection as its segments told it, from its first
// to its last. What no segment told is nil, or the zero value where that says
// so.
type Conversation struct {
	File   string // where its segments came from
	Number int    // from 1, in the order of first segments
	Client netip.AddrPort
	Server netip.AddrPort

	// Start is when its first segment passed; the zero value where the
	// capture's lines tell no date.
	Start    time.Time
	Duration time.Duration // from its first to its last segment

	Open  Opening
	Close Ending

	// The states that the ends were in after the last segment: Unconn is
	// CLOSED. An end that nothing tells of is in state 0.
	ClientState State
	ServerState State

	FromClient Flow
	FromServer Flow
	Notes      []Note // causes first
}

// Flow is what one end of a conversation sent.
type Flow struct {
	Packets     uint64 // segments; one that was captured twice is one
	Bytes       uint64 // of payload, each counted once
	Retransmits uint64 // segments sent again, SYNs and FINs too; no keepalive or window probes
	Probes      uint64 // keepalive probes
	SYNs        uint64 // segments with the flag, sent again or not
	FINs        uint64
	RSTs        uint64
}

// OpenKind says how a conversation began.
type OpenKind string

// The ways to begin.
const (
	Handshake        OpenKind = "handshake"    // SYN, SYN-ACK, ACK, as far as they were seen
	Refused          OpenKind = "refused"      // a SYN, and an RST for it
	Unanswered       OpenKind = "unanswered"   // SYNs, and nothing
	Midstream        OpenKind = "midstream"    // it was open when the capture began
	SimultaneousOpen OpenKind = "simultaneous" // both ends sent a SYN (RFC 9293 section 3.5)
)

// Opening is how a conversation began.
type Opening struct {
	Kind           OpenKind
	SYNRetransmits uint64

	// Connect is the time from the first SYN to the ACK that ended the
	// handshake; RTT the time from the last SYN to its SYN-ACK, at the place
	// of the capture.
	Connect *time.Duration
	RTT     *time.Duration

	// AcksOK tells whether both ACKs of the handshake were the other end's
	// sequence number plus one.
	AcksOK *bool

	ClientISN     *uint32
	ServerISN     *uint32
	ClientOptions *SYNOptions
	ServerOptions *SYNOptions
}

// SYNOptions are the options that only a SYN carries (RFC 9293, 7323, 2018,
// 7413).
type SYNOptions struct {
	MSS        *uint16 // bytes
	WScale     *uint8  // the window field is to be shifted left by that
	SACK       bool
	Timestamps bool
	FastOpen   bool
}

// CloseKind says how a conversation ended.
type CloseKind string

// The ways to end.
const (
	FourWay           CloseKind = "four-way"     // FIN, ACK, FIN, ACK
	ThreeWay          CloseKind = "three-way"    // FIN, FIN with the ACK, ACK
	SimultaneousClose CloseKind = "simultaneous" // each end sent its FIN before it saw the other's
	Reset             CloseKind = "reset"        // an RST, after FINs or without
	HalfClosed        CloseKind = "half-closed"  // one end sent its FIN; the other has not
	NoClose           CloseKind = "none"
)

// End names an end of a conversation, or both, or neither.
type End string

// The ends.
const (
	ClientEnd End = "client"
	ServerEnd End = "server"
	BothEnds  End = "both"
	NoEnd     End = "none"
)

// Ending is how a conversation ended.
type Ending struct {
	Kind    CloseKind
	First   End // who sent the first FIN, or the RST where there was no FIN
	ResetBy End // who sent the RST that ended it

	// PassiveWait is how long the end that closed second was in CLOSE-WAIT:
	// from the first segment that acknowledges the FIN to its own FIN. 0 for
	// three-way; nil where it did not close, or never waited.
	PassiveWait *time.Duration
	// FinWait2 is how long the end that closed first was in FIN-WAIT-2.
	FinWait2 *time.Duration
	// TimeWait is who keeps the TIME-WAIT: both after a simultaneous close.
	TimeWait End
}

// NoteKind is a word for something worth saying of a conversation.
type NoteKind string

// The kinds of notes.
const (
	CloseWaitStuck      NoteKind = "close-wait-stuck"
	NoteRefused         NoteKind = "refused"
	SYNUnanswered       NoteKind = "syn-unanswered"
	PortReused          NoteKind = "port-reused"
	KeepaliveTimeout    NoteKind = "keepalive-timeout"
	KeepaliveReset      NoteKind = "keepalive-reset"
	KeepaliveUnanswered NoteKind = "keepalive-unanswered"
	MiddleboxDrop       NoteKind = "middlebox-drop"
	MiddleboxReset      NoteKind = "middlebox-reset"
	UserTimeout         NoteKind = "user-timeout"
	NagleDelayedACK     NoteKind = "nagle-delayed-ack"
	ZeroWindow          NoteKind = "zero-window"
	AbortUnreadData     NoteKind = "abort-unread-data"
	DataAfterClose      NoteKind = "data-after-close"
	LingerZeroReset     NoteKind = "linger-zero-reset"
	LostLastACK         NoteKind = "lost-last-ack"
	NoteSimultaneous    NoteKind = "simultaneous-close"
	HalfCloseData       NoteKind = "half-close-data"
	KilledInCloseWait   NoteKind = "killed-in-close-wait"
	HTTPIdleClose       NoteKind = "http-idle-close"
)

// Note is something worth saying of a conversation.
type Note struct {
	Kind      NoteKind
	Certainty Certainty
	Or        []NoteKind // what else the wire could mean
	By        End        // whose doing it is, NoEnd where that is not the point
	Text      string     // one sentence, with the numbers that it rests on

	// Count and Took are the numbers of Text that can be summed over
	// conversations: how many times, and how long in all. 0 for none.
	Count uint64
	Took  time.Duration
}

// NamedHost gives an address that stands for a host whose name is all that is
// known: tcpdump without -n prints names.
func NamedHost(name string) netip.Addr { return netip.IPv6Unspecified().WithZone(name) }

// HostName gives the name that NamedHost was given.
func HostName(a netip.Addr) (name string, ok bool) {
	if a.Zone() == "" || a.WithZone("") != netip.IPv6Unspecified() {
		return "", false
	}
	return a.Zone(), true
}

// HostText writes an address, or the name that it stands for.
func HostText(a netip.Addr) string {
	if name, ok := HostName(a); ok {
		return name
	}
	return a.String()
}

// EndpointText writes an endpoint, "10.0.3.7:8080", "[::1]:80" or "localhost:22";
// "other" for the zero value, which stands for what was summed up.
func EndpointText(ap netip.AddrPort) string {
	if name, ok := HostName(ap.Addr()); ok {
		return name + ":" + strconv.Itoa(int(ap.Port()))
	}
	if !ap.IsValid() {
		return "other"
	}
	return ap.String()
}
