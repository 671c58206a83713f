package live

import "github.com/tcpvet/tcpvet/filter"

// Any is the name that stands for all interfaces.
const Any = "any"

// Options is what to capture.
type Options struct {
	// Interface is the name of an interface of the caller's network
	// namespace. Any or "" is all of them, those that are yet to come
	// included; a packet that is passed from one to another is captured on
	// each.
	Interface string

	// Filter selects the TCP segments to give; nil selects all.
	Filter *filter.PacketFilter

	// SnapLen is how many bytes of each packet are kept, of Ethernet from
	// its header on and else from the IP header on. 0 keeps all, up to
	// MaxSnapLen.
	SnapLen int

	// Promiscuous asks the interface for packets that are not for this
	// machine. It means nothing with Any.
	Promiscuous bool

	// Buffer is the size of the ring in bytes: 0 is 8 MiB. It is memory of
	// the kernel's and never swapped.
	Buffer int

	// Idle is called by Next about every 100 ms in which no packet came, so
	// that a caller can go on with the time. Its error ends Next; it may be
	// nil.
	Idle func() error

	// Checksums has TCP checksums verified where the card or the kernel
	// has filled them in.
	Checksums bool
}

// MaxSnapLen is the most bytes of a packet that are kept, so that with its
// link header it fits into a file (recording.MaxPacket).
const MaxSnapLen = 262144 - room
