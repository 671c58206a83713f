package capture

// A packet that passes two interfaces of "any", or a mirror port twice, is
// captured twice. The copy is the same segment of the same sender: same
// sequence and acknowledgment number, flags, window, length and timestamps,
// within a millisecond. A sender that sends the same again cannot do so within
// that time, except for duplicate ACKs: so the IP identification must be the
// same and not 0, or, where there is none (IPv6, or IPv4 that needs none), the
// interface must be another, or the TTL, which a router counts down in between. Copies do not have to follow each other: a burst may be captured
// whole before its copies.

const (
	maxCopies = 6    // segments of a sender that are remembered
	copyTime  = 1000 // us
)

// passed is a segment: a hash of its numbers in the upper half, then 8 bits of
// the interface and the TTL where the IP identification does not tell, then 24
// of the time in us. 0 is none.
type passed uint64

func (p passed) us() int32 { return int32(uint32(p) << 8) }

// recent is the last segments that an end sent.
type recent struct {
	seen [maxCopies]passed
	next uint8
}

// copied tells whether s was captured before, and remembers it.
func (r *recent) copied(s *Segment) bool {
	// A factor of 0 would wipe out what came before: hence the constants.
	h := mix((uint64(s.Seq)<<32|uint64(s.Ack))^0x9e3779b97f4a7c15, (uint64(s.Flags)<<48|uint64(s.Window)<<32|uint64(uint32(s.Len)))^0xd6e8feb86659fd93)
	h = mix(h^0xa0761d6478bd642f, (uint64(s.Options.TSVal)<<32|uint64(s.Options.TSEcr))^0xe7037ed1a0b428db)
	h = mix(h^0x8ebc6af09c88c6e3, uint64(s.IPID)^0x589965cc75374cc3)
	p := passed(uint32(h^h>>32)|1)<<32 | passed(uint32(s.At/1000)&0xffffff)
	if s.IPID == 0 {
		p |= passed(uint8(s.Interface)<<3^s.TTL) << 24
	}
	for _, q := range r.seen {
		if q>>32 != p>>32 || s.IPID == 0 && uint8(q>>24) == uint8(p>>24) {
			continue
		}
		if d := (p.us() - q.us()) >> 8; d > -copyTime && d < copyTime {
			return true
		}
	}
	r.seen[r.next%maxCopies] = p
	r.next++
	return false
}
