package capture

// before tells whether sequence number a comes before b (RFC 9293 section
// 3.4: arithmetic modulo 2^32).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// gap is a range of sequence numbers that was passed over: the capture lost
// it, or it comes out of order.
type gap struct {
	left, right uint32 // the first missing, and the one behind the last
	us          uint32 // when it was passed over, in us modulo 2^32
}

// maxGaps bounds what is remembered for an end. What belongs into a forgotten
// gap counts as sent before.
const maxGaps = 6

// reordered is how late a segment may fill a gap and yet only have been
// overtaken: networks reorder within a few packets, while a sender needs a
// round trip to learn that it must send again. Wireshark takes the same 3 ms
// where it knows no round-trip time.
const reordered = 3000 // us

// span is the sequence numbers that one end was seen to use.
type span struct {
	known bool
	base  uint32 // the first seen
	nxt   uint32 // the one behind the last (SND.NXT)
	gaps  [maxGaps]gap
	n     uint8
}

// begin sets the first number.
func (s *span) begin(seq uint32) { s.known, s.base, s.nxt = true, seq, seq }

// skip moves on to seq without having seen what is before it.
func (s *span) skip(seq uint32, at int64) {
	if !before(s.nxt, seq) {
		return
	}
	if s.n == maxGaps {
		copy(s.gaps[:], s.gaps[1:])
		s.n--
	}
	s.gaps[s.n] = gap{s.nxt, seq, uint32(at / 1000)}
	s.n++
	s.nxt = seq
}

// take enters n sequence numbers from seq. fresh is how many of them were not
// seen before. again says that some were sent before, seen here or not; late
// that all that is fresh only came out of order.
func (s *span) take(seq, n uint32, at int64) (fresh uint32, again, late bool) {
	right := seq + n
	s.skip(seq, at)
	if !before(seq, s.nxt) {
		s.nxt = right
		return n, false, false
	}
	old := s.nxt
	if before(right, old) {
		old = right
	} else {
		fresh = right - old
		s.nxt = right
	}
	filled := uint32(0)
	for i := 0; i < int(s.n); i++ {
		g := s.gaps[i]
		l, r := g.left, g.right
		if before(l, seq) {
			l = seq
		}
		if before(old, r) {
			r = old
		}
		if !before(l, r) {
			continue
		}
		filled += r - l
		late = true
		if uint32(at/1000)-g.us > reordered {
			again = true
		}
		s.fill(i, l, r)
		if i < int(s.n) && s.gaps[i] != g {
			i-- // what stands here now is another, or the rest of this
		}
	}
	fresh += filled
	if old-seq != filled {
		again = true
	}
	return fresh, again, late && !again
}

// fill takes [l, r) out of gap i.
func (s *span) fill(i int, l, r uint32) {
	g := &s.gaps[i]
	switch {
	case g.left == l && g.right == r:
		copy(s.gaps[i:], s.gaps[i+1:s.n])
		s.n--
	case g.left == l:
		g.left = r
	case g.right == r:
		g.right = l
	default: // in its middle: two remain, if there is room
		rest := gap{r, g.right, g.us}
		g.right = l
		if s.n < maxGaps {
			copy(s.gaps[i+2:s.n+1], s.gaps[i+1:s.n])
			s.gaps[i+1] = rest
			s.n++
		}
	}
}
