package live

import (
	"encoding/binary"
	"net/netip"
)

// made is a packet to send.
type made struct {
	src, dst string // addresses with ports
	tags     []uint16
	protocol byte   // 0 is TCP
	before   []byte // an extension header, without the number of the next one, which its first byte is
	kind     byte   // of before
	fragment uint16 // the field of flags and offset of IPv4
	payload  int
	damaged  bool // its checksum is wrong
}

const flagACK = 0x10

func (m made) etherType() uint16 {
	if netip.MustParseAddrPort(m.src).Addr().Is4() {
		return 0x0800
	}
	return 0x86dd
}

// network gives the packet from its IP header on.
func (m made) network() []byte {
	src, dst := netip.MustParseAddrPort(m.src), netip.MustParseAddrPort(m.dst)
	protocol := m.protocol
	if protocol == 0 {
		protocol = 6
	}
	body := make([]byte, 20+m.payload)
	binary.BigEndian.PutUint16(body, src.Port())
	binary.BigEndian.PutUint16(body[2:], dst.Port())
	binary.BigEndian.PutUint32(body[4:], 1000)
	binary.BigEndian.PutUint32(body[8:], 2000)
	body[12], body[13] = 5<<4, flagACK
	binary.BigEndian.PutUint16(body[14:], 500)
	// RFC 9293 section 3.1: over a pseudo header of addresses, protocol and length.
	var sum uint32
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(src.Addr().AsSlice())
	add(dst.Addr().AsSlice())
	sum += 6 + uint32(len(body))
	add(body)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	if m.damaged {
		sum++
	}
	binary.BigEndian.PutUint16(body[16:], ^uint16(sum))

	var b []byte
	if src.Addr().Is4() {
		b = make([]byte, 20)
		b[0] = 4<<4 | 5
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(body)))
		binary.BigEndian.PutUint16(b[6:], m.fragment)
		b[8], b[9] = 64, protocol
		copy(b[12:], src.Addr().AsSlice())
		copy(b[16:], dst.Addr().AsSlice())
	} else {
		b = make([]byte, 40)
		b[0] = 6 << 4
		binary.BigEndian.PutUint16(b[4:], uint16(len(m.before)+len(body)))
		b[6], b[7] = protocol, 64
		if m.before != nil {
			b[6] = m.kind
		}
		copy(b[8:], src.Addr().AsSlice())
		copy(b[24:], dst.Addr().AsSlice())
		b = append(b, m.before...)
		if m.before != nil {
			b[40] = protocol
		}
	}
	return append(b, body...)
}

// frame gives the packet from its Ethernet header on, for everybody.
func (m made) frame() []byte {
	b := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1}
	for i, tag := range m.tags {
		kind := uint16(0x8100)
		if i < len(m.tags)-1 {
			kind = 0x88a8
		}
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, tag)
	}
	return append(binary.BigEndian.AppendUint16(b, m.etherType()), m.network()...)
}

// assorted is packets of many kinds, of which the last closes what a test
// looks at.
func assorted() []made {
	const client, server, other = "10.7.0.1:40000", "10.7.0.2:80", "10.7.0.3:22"
	const client6, server6 = "[fd07::1]:40000", "[fd07::2]:80"
	return []made{
		{src: client, dst: server},
		{src: server, dst: client, payload: 1400},
		{src: client, dst: other, payload: 1, damaged: true},
		{src: client, dst: server, protocol: 17},
		{src: client, dst: server, fragment: 0x2000},
		{src: client, dst: server, fragment: 0x0010},
		{src: client6, dst: server6, payload: 7},
		{src: server6, dst: client6},
		{src: client6, dst: server6, protocol: 58},
		{src: client6, dst: server6, kind: 60, before: []byte{0, 0, 1, 4, 0, 0, 0, 0}}, // options, padded
		{src: client6, dst: server6, kind: 60, before: []byte{0, 0, 1, 4, 0, 0, 0, 0}, protocol: 17},
		{src: client, dst: server, tags: []uint16{7}, payload: 3},
		{src: client6, dst: server6, tags: []uint16{0x2007}, payload: 3},
		{src: other, dst: client, tags: []uint16{100, 7}, payload: 3},
		{src: client, dst: server, tags: []uint16{7}, protocol: 17},
		{src: last, dst: last},
	}
}

const last = "10.7.0.9:9"
