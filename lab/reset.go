package lab

import (
	"encoding/binary"
	"net/netip"

	"github.com/tcpvet/tcpvet/capture"
)

// resetFor makes the RST that answers a segment as its receiver would, had it no
// such connection (RFC 9293, section 3.10.7.1).
func resetFor(p *parcel, from *Host) parcel {
	s := &p.c.Segment
	var seq, ack uint32
	flags := capture.RST
	if s.Flags.Has(capture.ACK) {
		seq = s.Ack
	} else {
		flags |= capture.ACK
		ack = s.Seq + uint32(s.Len)
		for _, f := range []capture.Flags{capture.SYN, capture.FIN} {
			if s.Flags.Has(f) {
				ack++
			}
		}
	}
	packet := packetOf(s.Dst, s.Src, seq, ack, flags)
	r := parcel{packet: packet, c: Crossing{From: from, Fate: Forged}}
	var d capture.Decoder
	r.tcp = d.Decode(capture.Raw, packet, len(packet), &r.c.Segment) == capture.IsTCP
	return r
}

const (
	protocolTCP = 6
	hops        = 64
)

// packetOf makes an IP packet with a TCP header and nothing else (RFC 791, 8200,
// 9293).
func packetOf(from, to netip.AddrPort, seq, ack uint32, flags capture.Flags) []byte {
	const tcpLen = 20
	tcp := make([]byte, tcpLen)
	binary.BigEndian.PutUint16(tcp[0:], from.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12] = tcpLen / 4 << 4
	tcp[13] = byte(flags)

	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	pseudo := append(append(append([]byte{}, src...), dst...), 0, protocolTCP, 0, tcpLen)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))

	if from.Addr().Is4() {
		ip := make([]byte, 20)
		ip[0] = 4<<4 | 5
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+tcpLen))
		ip[8], ip[9] = hops, protocolTCP
		copy(ip[12:], src)
		copy(ip[16:], dst)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		return append(ip, tcp...)
	}
	ip := make([]byte, 40)
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], tcpLen)
	ip[6], ip[7] = protocolTCP, hops
	copy(ip[8:], src)
	copy(ip[24:], dst)
	return append(ip, tcp...)
}

// checksum is that of RFC 1071, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
