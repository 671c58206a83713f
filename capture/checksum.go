package capture

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// verify checks the checksum of a whole segment with its pseudo-header (RFC
// 9293 section 3.1, RFC 8200 section 8.1).
func verify(src, dst netip.Addr, segment []byte) Checksum {
	sum := uint64(protoTCP) + uint64(len(segment))
	if src.Is4() {
		a, b := src.As4(), dst.As4()
		sum = add(add(sum, a[:]), b[:])
	} else {
		a, b := src.As16(), dst.As16()
		sum = add(add(sum, a[:]), b[:])
	}
	sum = add(sum, segment)
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	if sum == 0xffff {
		return Right
	}
	return Wrong
}

// add adds b to a ones' complement sum: 64 bits at once, whose carry comes back
// in, as 2^64 leaves 1 modulo 2^16-1 (RFC 1071 section 2).
func add(sum uint64, b []byte) uint64 {
	var carry uint64
	for ; len(b) >= 8; b = b[8:] {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
	}
	var last [8]byte // an odd byte is the higher one of its word
	copy(last[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(last[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	return sum + carry
}
