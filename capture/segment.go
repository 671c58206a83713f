package capture

import "net/netip"

// Flags are the control bits of a TCP header (RFC 9293 section 3.1; AE is RFC
// 9768's, once NS).
type Flags uint16

// The control bits, numbered as in the header.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// Has tells whether all of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// Any tells whether one of some is set.
func (f Flags) Any(some Flags) bool { return f&some != 0 }

// Checksum is what can be said of a segment's checksum.
type Checksum uint8

// The answers. A segment that was cut, fragmented or printed cannot be
// checked; one that its own host captured before the card filled the checksum
// in is wrong without being damaged.
const (
	NotCheckable Checksum = iota
	Right
	Wrong
)

// String gives the answer's word.
func (c Checksum) String() string {
	return [...]string{"not checkable", "right", "wrong"}[min(c, Wrong)]
}

// Segment is one TCP segment as it was captured. A reader fills one again and
// again, so that it holds until the next is read.
type Segment struct {
	Frame uint64 // number of the packet in its capture, from 1; others than TCP count too

	// At is when it passed, in nanoseconds: since 1970 where the capture
	// has dates, else since the midnight before its first packet, or since
	// its first packet.
	At int64

	Src, Dst netip.AddrPort

	// NoSeq says that Seq is a guess, what its sender was to send next:
	// tcpdump prints no sequence number of a segment that has no payload,
	// SYN, FIN or RST, so that a keepalive probe looks like any ACK.
	NoSeq  bool
	Seq    uint32
	Ack    uint32 // means nothing without the flag ACK
	Flags  Flags
	Window uint16 // as in the header, not shifted
	Urgent uint16

	// Reserved is the three reserved bits, Sum the checksum as sent. Printed
	// says that the segment was read from text, which tells neither.
	Reserved uint8
	Sum      uint16
	Printed  bool

	// Len is the length of the payload on the wire. Payload is what the
	// capture kept of it.
	Len     int
	Payload []byte

	Options Options

	// Cut says that the capture did not keep the whole TCP header: the 20
	// bytes before the options are there, the options end where Raw does.
	Cut bool
	// Fragment says that this is the first fragment of a datagram: its Len
	// ends with the fragment.
	Fragment bool
	Checksum Checksum

	TTL      uint8  // or hop limit; 0 where it is not known
	TOS      uint8  // or traffic class
	IPID     uint16 // IPv4 only
	VLANs    [2]uint16
	NumVLANs int
	// Interface is where it was captured: an index of the capture's own
	// table for pcapng, of the machine for live captures and LINUX_SLL2.
	Interface int
}

// Options are the options of a TCP header. Raw is all of them, as captured.
type Options struct {
	Raw []byte
	Has OptionSet

	MSS          uint16
	WScale       uint8
	TSVal, TSEcr uint32
	SACK         [4]Block // NumSACK of them
	NumSACK      int
}

// Block is a range of sequence numbers that arrived (RFC 2018): Left is its
// first, Right the one behind its last.
type Block struct{ Left, Right uint32 }

// OptionSet is a set of TCP options.
type OptionSet uint8

// The options that are read.
const (
	HasMSS OptionSet = 1 << iota
	HasWScale
	HasSACKPermitted
	HasSACK
	HasTimestamps
	HasFastOpen
)
