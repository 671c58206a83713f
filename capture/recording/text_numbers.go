package recording

import (
	"net/netip"

	"github.com/tcpvet/tcpvet/capture"
)

// maxThreads bounds how many conversations have their numbers followed.
const maxThreads = 1 << 16

// tuple names a conversation: both ends, in an order that does not hang on who
// sends.
type tuple [2]netip.AddrPort

// numbers makes the relative numbers of tcpdump's text absolute again.
//
// Without -S tcpdump (tcp_print in print-tcp.c) keeps two bases for each
// conversation: the first segment with an ACK, and each with SYN and ACK, sets
// its sender's base to its own sequence number and the other end's to what it
// acknowledges less one. That segment's own numbers are printed as they are,
// and so are those of segments without an ACK. All others, and every SACK block
// in a segment with an ACK, have the base of the end whose bytes they count
// taken off.
//
// A text does not say whether -S was given. It shows: numbers that keep near
// the ones before are absolute, and those near the ones before less the base
// are relative.
type numbers struct {
	threads map[tuple]*thread
	stats   *Stats
	usual   mode // what the text was found to have

	// The threads in the order of their last segments, newest first.
	newest, oldest *thread
}

// mode is whether numbers are relative.
type mode uint8

const (
	undecided mode = iota
	absolute
	relative
)

// thread is one conversation's numbers. Index 0 is of the end that is first in
// the tuple.
type thread struct {
	key          tuple
	newer, older *thread

	mode    mode
	started bool // bases were set
	base    [2]uint32
	made    [2]bool // the base was not printed: 0 stands for it
	next    [2]uint32
	seen    [2]bool // next is known
}

// restore makes the numbers of a segment absolute, and fills in the sequence
// number where none was printed.
func (n *numbers) restore(p *printed, s *capture.Segment) {
	t, from := n.thread(s)
	to := 1 - from
	s.NoSeq = !p.seq
	switch {
	case !s.Flags.Has(capture.ACK):
		// Absolute: but where the base is made up, so is everything else.
		if t.made[from] && t.mode == relative && !s.Flags.Has(capture.SYN) {
			s.NoSeq = true
		}
	case !t.started || s.Flags.Has(capture.SYN):
		t.begin(from, p, s)
		n.blocks(t, to, s)
	default:
		if t.mode == undecided {
			n.decide(t, from, p, s)
		}
		if t.mode == relative {
			s.Seq += t.base[from]
			s.Ack += t.base[to]
		}
		n.blocks(t, to, s)
	}
	if s.NoSeq {
		s.Seq = t.next[from]
	}
	t.advance(from, s)
}

// begin sets the bases.
func (t *thread) begin(from int, p *printed, s *capture.Segment) {
	to := 1 - from
	t.started, t.made = true, [2]bool{}
	t.base[to] = s.Ack - 1
	t.base[from] = s.Seq
	if !p.seq {
		t.base[from] = t.next[from] // 0, and so are all numbers of this end beside it, where nothing is known
		t.made[from] = !t.seen[from]
	}
	if s.Flags.Has(capture.SYN) {
		t.mode, t.seen = undecided, [2]bool{}
	}
	if !t.seen[to] || s.Flags.Has(capture.SYN) {
		t.next[to], t.seen[to] = s.Ack, true
	}
}

// advance follows what the ends are to send next.
func (t *thread) advance(from int, s *capture.Segment) {
	if !s.NoSeq || t.seen[from] || t.made[from] {
		end := s.Seq + uint32(s.Len)
		if s.Flags.Has(capture.SYN) {
			end++
		}
		if s.Flags.Has(capture.FIN) {
			end++
		}
		if !t.seen[from] || int32(end-t.next[from]) > 0 || s.Flags.Has(capture.SYN) {
			t.next[from], t.seen[from] = end, true
		}
	}
	if to := 1 - from; s.Flags.Has(capture.ACK) && (!t.seen[to] || int32(s.Ack-t.next[to]) > 0) {
		t.next[to], t.seen[to] = s.Ack, true
	}
}

// near is how far from 0 a base must be for its numbers to tell modes apart:
// nearer ones are rather those of an excerpt that begins with relative numbers,
// which then are as good as absolute.
const near = 1 << 16

// decide finds out whether the numbers of a conversation are relative.
func (n *numbers) decide(t *thread, from int, p *printed, s *capture.Segment) {
	to := 1 - from
	if p.seq {
		t.mode = t.judge(from, s.Seq)
	}
	if t.mode == undecided {
		t.mode = t.judge(to, s.Ack)
	}
	switch {
	case t.mode != undecided:
		n.usual = t.mode
	case apart(t.base[0], 0) <= near && apart(t.base[1], 0) <= near && t.made == [2]bool{}:
		t.mode = absolute
	case n.usual != undecided:
		t.mode = n.usual
	case t.made[to] && s.Ack < near:
		t.mode = relative // an absolute one is hardly ever so small
	case t.made[to]:
		t.mode = absolute
	}
	for end, made := range t.made {
		if made && t.mode == absolute { // its first number is still to come
			t.made[end], t.seen[end] = false, false
		}
	}
}

// judge tells of one number what it is, as far as it can be known.
func (t *thread) judge(end int, printed uint32) mode {
	if t.made[end] || apart(t.base[end], 0) <= near {
		return undecided
	}
	expected := t.next[end]
	if !t.seen[end] {
		expected = t.base[end]
	}
	if apart(printed, expected) <= apart(printed, expected-t.base[end]) {
		return absolute
	}
	return relative
}

// blocks makes SACK blocks absolute. They count the bytes of the end that the
// segment goes to, and lie near what it acknowledges. It runs when Ack is
// absolute.
func (n *numbers) blocks(t *thread, to int, s *capture.Segment) {
	for i := range s.Options.SACK[:s.Options.NumSACK] {
		b := &s.Options.SACK[i]
		taken := t.mode == relative
		if t.mode == undecided {
			taken = apart(b.Left+t.base[to], s.Ack) < apart(b.Left, s.Ack)
		}
		if taken {
			b.Left += t.base[to]
			b.Right += t.base[to]
		}
	}
}

// apart is the distance of two numbers on the circle.
func apart(a, b uint32) uint32 { return min(a-b, b-a) }

// thread finds or makes the thread of a segment, and tells which end sent it.
func (n *numbers) thread(s *capture.Segment) (t *thread, from int) {
	key := tuple{s.Src, s.Dst}
	if s.Src.Compare(s.Dst) > 0 {
		key, from = tuple{s.Dst, s.Src}, 1
	}
	if t = n.threads[key]; t == nil {
		if len(n.threads) >= maxThreads {
			n.stats.Forgotten++
			delete(n.threads, n.oldest.key)
			n.unlink(n.oldest)
		}
		t = &thread{key: key}
		n.threads[key] = t
	} else {
		n.unlink(t)
	}
	t.newer, t.older = nil, n.newest
	if n.newest != nil {
		n.newest.newer = t
	}
	n.newest = t
	if n.oldest == nil {
		n.oldest = t
	}
	return t, from
}

func (n *numbers) unlink(t *thread) {
	if t.newer != nil {
		t.newer.older = t.older
	} else {
		n.newest = t.older
	}
	if t.older != nil {
		t.older.newer = t.newer
	} else {
		n.oldest = t.newer
	}
}
