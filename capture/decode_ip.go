package capture

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers (IANA), of TCP and of the headers that may stand before
// it.
const (
	protoHopByHop = 0
	protoTCP      = 6
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoDstOpts  = 60
	protoMobility = 135
	protoHIP      = 139
	protoShim6    = 140
)

// Lengths of IP headers without options, in bytes.
const (
	ipv4Bytes = 20
	ipv6Bytes = 40
)

// datagram is what the IP headers told of a packet.
type datagram struct {
	captured []byte // behind the IP headers, without the padding of the link
	wire     int    // bytes that were behind the IP headers on the wire
	fragment bool   // the first of several fragments
	rerouted bool   // a header names another destination, which the checksum covers
}

// ip reads an IP header of the version that its first bits name.
func (d *Decoder) ip(b []byte, wireLen int, s *Segment) Verdict {
	if len(b) == 0 {
		return Short
	}
	switch b[0] >> 4 {
	case 4:
		return d.ipv4(b, wireLen, s)
	case 6:
		return d.ipv6(b, wireLen, s)
	}
	return Malformed
}

// ipv4 reads an IPv4 header (RFC 791 section 3.1).
func (d *Decoder) ipv4(b []byte, wireLen int, s *Segment) Verdict {
	if len(b) < ipv4Bytes {
		return Short
	}
	header := int(b[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = wireLen // Linux captured it before the card cut it into packets, too long for the field
	}
	if header < ipv4Bytes || total < header {
		return Malformed
	}
	b = b[:min(len(b), total)]
	offset := binary.BigEndian.Uint16(b[6:])
	later := offset&0x1fff != 0
	if later && b[9] == protoTCP {
		return LaterFragment
	}
	if b[9] != protoTCP && b[9] != protoAH {
		return NotTCP
	}
	if len(b) < header {
		return Short
	}
	s.TOS, s.TTL, s.IPID = b[1], b[8], binary.BigEndian.Uint16(b[4:])
	src, dst := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	g := datagram{captured: b[header:], wire: total - header, fragment: offset&0x2000 != 0}
	if header > ipv4Bytes {
		g.rerouted = sourceRouted(b[ipv4Bytes:header])
	}
	if b[9] == protoAH {
		return d.extensions(protoAH, later, src, dst, &g, s)
	}
	return d.tcp(src, dst, &g, s)
}

// sourceRouted tells whether IPv4 options hold a source route, after which the
// header's destination is only the next stop.
func sourceRouted(options []byte) bool {
	for len(options) > 1 && options[0] != 0 {
		switch n := int(options[1]); {
		case options[0] == 1:
			options = options[1:]
		case options[0] == 131, options[0] == 137: // loose, strict
			return true
		case n < 2 || n > len(options):
			return false
		default:
			options = options[n:]
		}
	}
	return false
}

// ipv6 reads an IPv6 header (RFC 8200 section 3). A payload length of zero,
// which both jumbograms (RFC 2675) and Linux's large offloaded packets have,
// stands for all that was on the wire.
func (d *Decoder) ipv6(b []byte, wireLen int, s *Segment) Verdict {
	if len(b) < ipv6Bytes {
		return Short
	}
	payload := int(binary.BigEndian.Uint16(b[4:]))
	if payload == 0 {
		payload = wireLen - ipv6Bytes
	}
	b = b[:min(len(b), ipv6Bytes+payload)]
	s.TOS, s.TTL, s.IPID = b[0]<<4|b[1]>>4, b[7], 0
	src, dst := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	g := datagram{captured: b[ipv6Bytes:], wire: payload}
	if b[6] == protoTCP {
		return d.tcp(src, dst, &g, s)
	}
	return d.extensions(b[6], false, src, dst, &g, s)
}

// extensions reads the headers between IP and TCP (RFC 8200 section 4, RFC
// 4302 section 2). Each takes at least 8 bytes, so that the packet's length
// bounds their number. later says that IPv4 found an offset.
func (d *Decoder) extensions(kind byte, later bool, src, dst netip.Addr, g *datagram, s *Segment) Verdict {
	for kind != protoTCP {
		size := 8
		switch kind {
		case protoHopByHop, protoRouting, protoDstOpts, protoMobility, protoHIP, protoShim6, protoAH, protoFragment:
		default:
			return NotTCP
		}
		if later {
			return LaterFragment // of what, only the first one knows
		}
		if g.wire < size {
			return Malformed
		}
		if len(g.captured) < size {
			return Short
		}
		switch kind {
		case protoFragment:
			field := binary.BigEndian.Uint16(g.captured[2:])
			later = field&^7 != 0
			g.fragment = g.fragment || field&1 != 0
		case protoAH:
			size = (int(g.captured[1]) + 2) * 4
		case protoRouting:
			g.rerouted = g.rerouted || g.captured[3] != 0 // segments left
			fallthrough
		default:
			size = (int(g.captured[1]) + 1) * 8
		}
		kind = g.captured[0]
		if g.wire < size {
			return Malformed
		}
		if len(g.captured) < size {
			return Short
		}
		g.captured, g.wire = g.captured[size:], g.wire-size
	}
	if later {
		return LaterFragment
	}
	return d.tcp(src, dst, g, s)
}
