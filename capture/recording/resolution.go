package recording

import (
	"math"
	"math/bits"
)

// resolution is how an interface counts time (draft-ietf-opsawg-pcapng section
// 4.2, if_tsresol and if_tsoffset): in units of 10 or 2 to the power of
// -exponent seconds, offset seconds after 1970.
type resolution struct {
	binary   bool
	exponent uint8
	offset   int64
}

// nanoseconds gives a time since 1970, rounded down; the farthest one that an
// int64 holds where it is beyond that.
func (r resolution) nanoseconds(units uint64) int64 {
	var ns int64
	if !r.binary && r.exponent == 6 && units < math.MaxInt64/1000 {
		ns = int64(units) * 1000 // as nearly always
	} else {
		ns = int64(min(r.scale(units), math.MaxInt64))
	}
	if r.offset == 0 {
		return ns
	}
	const most = math.MaxInt64 / 1_000_000_000
	offset := min(max(r.offset, -most), most) * 1_000_000_000
	if sum := ns + offset; (sum > ns) == (offset > 0) {
		return sum
	}
	return math.MaxInt64 // ns is not negative: only that side overflows
}

// scale gives units in nanoseconds, at most math.MaxUint64.
func (r resolution) scale(units uint64) uint64 {
	if r.binary {
		high, low := bits.Mul64(units, 1_000_000_000)
		switch e := uint(r.exponent); {
		case e >= 128:
			return 0
		case e >= 64:
			return high >> (e - 64)
		case high>>e != 0:
			return math.MaxUint64
		default:
			return high<<(64-e) | low>>e
		}
	}
	for e := r.exponent; e < 9; e++ {
		high, low := bits.Mul64(units, 10)
		if high != 0 {
			return math.MaxUint64
		}
		units = low
	}
	for e := r.exponent; e > 9 && units > 0; e-- {
		units /= 10
	}
	return units
}
