package bpfiter

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// cursor reads the structs of bpf/*.h, little-endian as the objects are. The
// caller has looked at the length.
type cursor []byte

func (c *cursor) skip(n int) { *c = (*c)[n:] }

func (c *cursor) u8() uint8 {
	v := (*c)[0]
	c.skip(1)
	return v
}

func (c *cursor) u16() uint16 {
	v := binary.LittleEndian.Uint16(*c)
	c.skip(2)
	return v
}

func (c *cursor) u32() uint32 {
	v := binary.LittleEndian.Uint32(*c)
	c.skip(4)
	return v
}

func (c *cursor) u64() uint64 {
	v := binary.LittleEndian.Uint64(*c)
	c.skip(8)
	return v
}

func (c *cursor) u32s(to []uint32) {
	for i := range to {
		to[i] = c.u32()
	}
}

func (c *cursor) ms() time.Duration { return time.Duration(c.u32()) * time.Millisecond }

// addr reads an address that stands as IPv6 does.
func (c *cursor) addr() netip.Addr {
	a := netip.AddrFrom16([16]byte(*c))
	c.skip(16)
	return a
}

const (
	familyIPv4 = 2
	familyIPv6 = 10
)

// as gives an address as the socket's family has it.
func as(family uint8, a netip.Addr) netip.Addr {
	if family == familyIPv4 {
		return a.Unmap()
	}
	return a
}

func endpoint(family uint8, a netip.Addr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(as(family, a), port)
}
