package capture

import "encoding/binary"

// Decoder reads the headers of captured packets. Its zero value is ready.
type Decoder struct {
	// Checksums has the TCP checksum verified where the whole segment was
	// captured, which reads the payload too. Without it every segment is
	// NotCheckable.
	Checksums bool
}

// EtherTypes (IEEE 802), as Ethernet and both Linux cooked headers have them.
const (
	typeIPv4     = 0x0800
	typeIPv6     = 0x86dd
	typeVLAN     = 0x8100 // IEEE 802.1Q
	typeQinQ     = 0x88a8 // IEEE 802.1ad
	typeOldQinQ  = 0x9100 // what switches used before 802.1ad
	vlanIDMask   = 0x0fff
	vlanTagBytes = 4
)

// Lengths of link headers, in bytes.
const (
	familyBytes   = 4
	ethernetBytes = 14
	sllBytes      = 16
	sll2Bytes     = 20
)

// Decode reads the headers of one packet into s. The packet is what was
// captured of wireLen bytes; s then refers to it. Frame, At and, but for
// LinuxSLL2, Interface are left as they are, for the reader to fill in. Where
// the verdict is not IsTCP the other fields mean nothing.
func (d *Decoder) Decode(link LinkType, packet []byte, wireLen int, s *Segment) Verdict {
	wireLen = max(wireLen, len(packet))
	s.NumVLANs = 0
	switch link {
	case Ethernet:
		if len(packet) < ethernetBytes {
			return Short
		}
		return d.ether(binary.BigEndian.Uint16(packet[12:]), packet[ethernetBytes:], wireLen-ethernetBytes, s)
	case Raw, RawBSD, RawBSDI, IPv4, IPv6:
		return d.ip(packet, wireLen, s)
	case LinuxSLL2:
		if len(packet) < sll2Bytes {
			return Short
		}
		s.Interface = int(binary.BigEndian.Uint32(packet[4:]))
		return d.ether(binary.BigEndian.Uint16(packet), packet[sll2Bytes:], wireLen-sll2Bytes, s)
	case LinuxSLL:
		if len(packet) < sllBytes {
			return Short
		}
		return d.ether(binary.BigEndian.Uint16(packet[14:]), packet[sllBytes:], wireLen-sllBytes, s)
	case Null, Loop:
		if len(packet) < familyBytes {
			return Short
		}
		if !familyIP(binary.BigEndian.Uint32(packet)) && !familyIP(binary.LittleEndian.Uint32(packet)) {
			return NotTCP
		}
		return d.ip(packet[familyBytes:], wireLen-familyBytes, s)
	}
	return UnknownLink
}

// familyIP tells whether a loopback header names IPv4 or IPv6. The number of
// the latter is each system's own: 10 Linux, 24 NetBSD and OpenBSD, 28 FreeBSD,
// 30 macOS.
func familyIP(family uint32) bool {
	switch family {
	case 2, 10, 24, 28, 30:
		return true
	}
	return false
}

// ether reads what follows an EtherType, past any number of VLAN tags.
func (d *Decoder) ether(kind uint16, b []byte, wireLen int, s *Segment) Verdict {
	for {
		switch kind {
		case typeIPv4, typeIPv6:
			return d.ip(b, wireLen, s)
		case typeVLAN, typeQinQ, typeOldQinQ:
			if len(b) < vlanTagBytes {
				return Short
			}
			if s.NumVLANs < len(s.VLANs) {
				s.VLANs[s.NumVLANs] = binary.BigEndian.Uint16(b) & vlanIDMask
				s.NumVLANs++
			}
			kind = binary.BigEndian.Uint16(b[2:])
			b, wireLen = b[vlanTagBytes:], wireLen-vlanTagBytes
		default:
			return NotTCP
		}
	}
}
