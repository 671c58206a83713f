package live

import (
	"encoding/binary"
	"errors"

	"github.com/tcpvet/tcpvet/capture"
)

// frame is a packet in the ring.
type frame struct {
	ring       []byte // from the packet's header on
	start, end int    // of what was kept
	wire       int    // length of the whole packet

	at       int64 // nanoseconds since 1970
	status   uint32
	protocol uint16 // EtherType
	index    int    // of the interface
}

func (f *frame) fill(ring []byte, start, kept int) {
	f.ring, f.start, f.end = ring, start, start+kept
	f.wire = int(min(binary.NativeEndian.Uint32(ring[packetWire:]), longest))
	f.wire = max(f.wire, kept)
	f.at = int64(binary.NativeEndian.Uint32(ring[packetSeconds:]))*1e9 + int64(binary.NativeEndian.Uint32(ring[packetNanos:]))
	f.status = binary.NativeEndian.Uint32(ring[packetStatus:])
	f.protocol = binary.BigEndian.Uint16(ring[addressKind:])
	f.index = int(int32(binary.NativeEndian.Uint32(ring[addressIndex:])))
}

// longest bounds the length that a packet is said to have had, far above what
// an interface sends at once.
const longest = 1 << 30

func (f *frame) bytes() []byte { return f.ring[f.start:f.end] }

// Lengths in bytes.
const (
	macsBytes   = 12
	tagBytes    = 4
	cookedBytes = 20

	// room is what dress may put before a packet. The kernel is asked to
	// leave it (PACKET_RESERVE): what it leaves by itself is enough for
	// Ethernet alone.
	room = 32
)

var errNoRoom = errors.New("read ring: there is no room for a link header before a packet")

// EtherTypes (IEEE 802).
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	usualTag  = 0x8100 // IEEE 802.1Q
)

// tag gives the VLAN tag that the kernel or the card took out of the packet.
func (f *frame) tag() (kind, info uint16, ok bool) {
	if f.status&tagPresent == 0 {
		return 0, 0, false
	}
	kind = usualTag
	if f.status&tagKindPresent != 0 {
		kind = binary.NativeEndian.Uint16(f.ring[packetTPID:])
	}
	return kind, uint16(binary.NativeEndian.Uint32(f.ring[packetTCI:])), true
}

// dress makes the packet in the ring what a file of the link type has: it puts
// the VLAN tag back where it stood on the wire and, for LinuxSLL2, the header
// before it that the socket does not give.
func (f *frame) dress(link capture.LinkType) error {
	kind, info, tagged := f.tag()
	before := 0
	if tagged {
		before = tagBytes
	}
	if link == capture.LinuxSLL2 {
		before += cookedBytes
	}
	if f.start-before < packetHeader {
		return errNoRoom
	}
	switch link {
	case capture.Ethernet:
		if !tagged || f.end-f.start < macsBytes {
			return nil
		}
		at := f.start - tagBytes
		copy(f.ring[at:], f.ring[f.start:f.start+macsBytes])
		binary.BigEndian.PutUint16(f.ring[at+macsBytes:], kind)
		binary.BigEndian.PutUint16(f.ring[at+macsBytes+2:], info)
	case capture.LinuxSLL2:
		protocol := f.protocol
		if tagged && f.tagInside() {
			protocol = usualTag
		}
		if tagged {
			binary.BigEndian.PutUint16(f.ring[f.start-4:], info)
			binary.BigEndian.PutUint16(f.ring[f.start-2:], protocol)
			protocol = kind
		}
		f.cook(f.ring[f.start-before:], protocol)
	default:
		return nil
	}
	f.start -= before
	f.wire += before
	return nil
}

// tagInside tells whether a packet without a link header begins with a second
// VLAN tag although its protocol is said to be IP: where the card took the
// outer tag out, the kernel looks past the inner one for the protocol and hands
// over the packet from that tag on (net/packet/af_packet.c,
// vlan_get_protocol_dgram). What else begins so would have another length than
// its header says.
func (f *frame) tagInside() bool {
	b := f.bytes()
	if len(b) < tagBytes+6 || binary.BigEndian.Uint16(b[2:]) != f.protocol {
		return false
	}
	version, length := byte(4), int(binary.BigEndian.Uint16(b[2:]))
	switch f.protocol {
	case etherIPv4:
	case etherIPv6:
		version, length = 6, 40+int(binary.BigEndian.Uint16(b[4:]))
	default:
		return false
	}
	return b[tagBytes]>>4 == version && (b[0]>>4 != version || f.wire != length)
}

// cook writes the header of LINKTYPE_LINUX_SLL2
// (draft-ietf-opsawg-pcaplinktype).
func (f *frame) cook(b []byte, protocol uint16) {
	binary.BigEndian.PutUint16(b, protocol)
	binary.BigEndian.PutUint16(b[2:], 0)
	binary.BigEndian.PutUint32(b[4:], uint32(f.index))
	binary.BigEndian.PutUint16(b[8:], binary.NativeEndian.Uint16(f.ring[addressLink:]))
	b[10], b[11] = f.ring[addressPacket], f.ring[addressLength]
	copy(b[12:cookedBytes], f.ring[addressBytes:addressBytes+8])
}
