package recording_test

import (
	"encoding/binary"
	"slices"
	"testing"
)

// datagram takes the link header off a packet of testdata, whose captures are
// of Ethernet and raw IP.
func datagram(t testing.TB, packet []byte) []byte {
	t.Helper()
	switch {
	case len(packet) > 14 && packet[12] == 8 && packet[13] == 0 && packet[14] == 0x45:
		return packet[14:]
	case packet[0] == 0x45:
		return packet
	}
	t.Fatalf("packet % x is not IPv4 without options", packet)
	return nil
}

// dress is a way to put an IPv4 datagram of 20 header bytes on a wire.
type dress struct {
	link  uint32
	dress func([]byte) []byte
}

func ether(kind uint16, rest ...[]byte) []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	b = binary.BigEndian.AppendUint16(b, kind)
	return append(b, slices.Concat(rest...)...)
}

func tag(id, kind uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0xe000|id) // priority 7
	return binary.BigEndian.AppendUint16(b, kind)
}

// six puts the TCP segment of an IPv4 datagram into IPv6, behind extension
// headers of which the first has the type kind. Its checksum is made anew.
func six(v4 []byte, kind byte, headers ...byte) []byte {
	tcp := slices.Clone(v4[20:])
	b := []byte{0x6b, 0xa0, 0, 7} // traffic class 0xba
	b = binary.BigEndian.AppendUint16(b, uint16(len(headers)+int(binary.BigEndian.Uint16(v4[2:]))-20))
	b = append(b, kind, 61)
	for _, host := range [][]byte{v4[12:16], v4[16:20]} {
		b = append(b, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0)
		b = append(b, host...)
	}
	tcp[16], tcp[17] = 0, 0
	length := int(binary.BigEndian.Uint16(v4[2:])) - 20
	pseudo := slices.Concat(b[8:40], []byte{0, 0, byte(length >> 8), byte(length), 0, 0, 0, 6}, tcp)
	binary.BigEndian.PutUint16(tcp[16:], ^onesSum(pseudo))
	return slices.Concat(b, headers, tcp)
}

// onesSum is the sum of RFC 1071, as its definition says it.
func onesSum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// edit changes a copy of a datagram and makes its header's checksum anew.
func edit(v4 []byte, change func([]byte) []byte) []byte {
	b := change(slices.Clone(v4))
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^onesSum(b[:b[0]&15*4]))
	return b
}

// variants are the dresses that a decoder must see through.
func variants() []dress {
	plain := func(b []byte) []byte { return b }
	hop := []byte{43, 0, 5, 2, 0, 0, 1, 0}                                                     // then routing
	routing := []byte{60, 2, 4, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4} // then destination
	destination := []byte{6, 0, 1, 4, 0, 0, 0, 0}
	chain := slices.Concat(hop, routing, destination)
	return []dress{
		{0, func(b []byte) []byte { return append([]byte{2, 0, 0, 0}, b...) }},
		{0, func(b []byte) []byte { return append([]byte{0, 0, 0, 2}, b...) }},
		{0, func(b []byte) []byte { return append([]byte{30, 0, 0, 0}, six(b, 6)...) }},
		{0, func(b []byte) []byte { return append([]byte{0, 0, 0, 24}, six(b, 6)...) }},
		{108, func(b []byte) []byte { return append([]byte{0, 0, 0, 2}, b...) }},
		{12, plain},
		{101, plain},
		{101, func(b []byte) []byte { return six(b, 6) }},
		{228, plain},
		{229, func(b []byte) []byte { return six(b, 6) }},
		{113, func(b []byte) []byte {
			return append([]byte{0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0}, b...)
		}},
		{276, func(b []byte) []byte {
			return append([]byte{8, 0, 0, 0, 0, 0, 3, 77, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0}, b...)
		}},
		{276, func(b []byte) []byte {
			return append([]byte{0x86, 0xdd, 0, 0, 0, 0, 0, 5, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, six(b, 6)...)
		}},
		{1, func(b []byte) []byte { return ether(0x0800, b) }},
		{1, func(b []byte) []byte { return ether(0x86dd, six(b, 6)) }},
		{1, func(b []byte) []byte { return ether(0x8100, tag(5, 0x0800), b) }},
		{1, func(b []byte) []byte { return ether(0x88a8, tag(100, 0x8100), tag(4094, 0x86dd), six(b, 6)) }},
		{1, func(b []byte) []byte { return ether(0x9100, tag(7, 0x8100), tag(8, 0x0800), b) }},
		{1, func(b []byte) []byte { return ether(0x0800, b, make([]byte, 6)) }}, // padding, or a frame check sequence
		{101, func(b []byte) []byte { return six(b, 0, chain...) }},
		{101, func(b []byte) []byte { return six(b, 60, destination...) }},
		{101, func(b []byte) []byte { // AH: 12 fixed bytes, 12 of integrity check
			return six(b, 51, append([]byte{6, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, make([]byte, 12)...)...)
		}},
		{101, func(b []byte) []byte { return six(b, 44, 6, 0, 0, 0, 0, 0, 0, 9) }}, // an atomic fragment (RFC 6946): nothing follows
		{101, func(b []byte) []byte { // options: a router alert and a nop, an end
			return edit(b, func(b []byte) []byte {
				b[0] = 0x47
				binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])+8)
				return slices.Insert(b, 20, 148, 4, 0, 0, 1, 1, 1, 0)
			})
		}},
		{101, func(b []byte) []byte { // a wrong checksum
			b = slices.Clone(b)
			b[36] ^= 0x80
			return b
		}},
		{101, func(b []byte) []byte { // every flag
			b = slices.Clone(b)
			b[32], b[33] = b[32]|1, 0xff
			b[39] = 9 // an urgent pointer
			return b
		}},
		{101, func(b []byte) []byte { // UDP
			return edit(b, func(b []byte) []byte { b[9] = 17; return b })
		}},
		{1, func(b []byte) []byte { return ether(0x0806, make([]byte, 28)) }}, // ARP
	}
}
