package capture

import (
	"github.com/tcpvet/tcpvet"
)

// resetting is the RST that ended a conversation, and what it was seen to
// answer.
type resetting struct {
	by    uint8 // whose
	doubt bool  // only what follows tells whether it was believed
	both  bool  // at once another came in the name of the other end
	ttl   uint8 // where it differs from that of all other segments of its sender, else 0
	bare  bool  // without ACK: the answer of a host that knows no such connection
	at    int64
	idle  int64 // how long neither end had sent anything before
	kind  reason
	or    reason
}

// reason is what an RST may have been for.
type reason uint8

const (
	unknownReason reason = iota
	ofRefused
	ofKeepaliveTimeout
	ofUserTimeout
	ofMiddleboxDrop
	ofMiddleboxReset
	ofKeepaliveReset
	ofDataAfterClose
	ofKilled
	ofUnreadData
	ofLingerZero
)

var reasonNotes = [...]tcpvet.NoteKind{"", tcpvet.NoteRefused, tcpvet.KeepaliveTimeout, tcpvet.UserTimeout, tcpvet.MiddleboxDrop, tcpvet.MiddleboxReset,
	tcpvet.KeepaliveReset, tcpvet.DataAfterClose, tcpvet.KilledInCloseWait, tcpvet.AbortUnreadData, tcpvet.LingerZeroReset}

// note is the note that says so, "" for none.
func (r reason) note() tcpvet.NoteKind { return reasonNotes[r] }

// belief says what the receiver of an RST makes of it.
type belief uint8

const (
	ignored  belief = iota
	doubtful        // it is in the window, but not where it should be: RFC 5961 answers by a challenge ACK
	believed
)

// believes tells whether p believes e's RST (RFC 9293 section 3.10.7, RFC 5961
// section 3). What p has received lies between what it acknowledged and what
// passed; one below is allowed for, as the kernel does (function
// tcp_reset_check).
func (c *conversation) believes(s *Segment, e, p *end) belief {
	if p.is(sawSYN) && !p.is(synAcked) && !e.is(sawSYN) {
		if s.Flags.Has(ACK) && before(p.isn, s.Ack) && !before(p.sent.nxt, s.Ack) {
			return believed
		}
		return ignored
	}
	if !e.sent.known {
		return believed // nothing to judge it by
	}
	low, high := e.sent.base, e.sent.nxt
	if e.is(acked) {
		low = e.una
	}
	window := max(p.scaledWindow(e), 1)
	if p.segments == 0 {
		window = 1 << 24
	}
	switch {
	case before(s.Seq, low-1), before(high+window, s.Seq):
		return ignored
	case before(high, s.Seq) && e.segments > 1: // this one counts
		return doubtful
	}
	return believed
}

// bothAtOnce is how far apart two RSTs in the names of both ends can be that
// one middlebox sent.
const bothAtOnce = 10e6 // ns

// addRST enters a segment with the flag RST.
func (c *conversation) addRST(s *Segment, e, p *end) What {
	e.rsts++
	what := IsRST
	if s.Len > 0 {
		what |= IsData // RFC 9293 section 3.5.3: text that explains it
	}
	if e.is(guessed) && s.Seq == e.sent.nxt+1 {
		e.settleGuess(true)
	}
	belief := c.believes(s, e, p)
	if belief == ignored {
		return what | Ignored
	}
	side := uint8(0)
	if e == &c.ends[1] {
		side = 1
	}
	if c.over {
		c.lateRST(s, side, e, p)
		return what
	}
	r := &c.reset
	*r = resetting{by: side, doubt: belief == doubtful, bare: s.Flags&ACK == 0, at: s.At, idle: int64(elapsed(c.last, s.At))}
	if s.TTL != 0 && e.ttl != 0 && s.TTL != e.ttl && !e.is(ttlVaries) {
		r.ttl = s.TTL
	}
	r.kind, r.or = c.why(e, p)
	if r.doubt {
		return what | Ignored
	}
	c.resetNow()
	return what
}

// resetNow ends the conversation by the RST that c.reset describes.
func (c *conversation) resetNow() {
	c.reset.doubt = false
	c.mark(wasReset)
	if c.reset.kind == ofRefused {
		c.mark(refused)
	}
	c.ends[0].state, c.ends[1].state = tcpvet.Unconn, tcpvet.Unconn
}

// lateRST enters an RST after the end.
func (c *conversation) lateRST(s *Segment, side uint8, e, p *end) {
	if c.is(wasReset) {
		if side != c.reset.by && elapsed(c.reset.at, s.At) <= bothAtOnce && c.reset.idle >= longIdle && c.lastFrom == c.reset.by {
			c.reset.both = true
		}
		return
	}
	if p.is(wroteAfter) && p.payloadAt >= e.finAt {
		p.mark(answeredLate)
	}
	// It ends the TIME-WAIT of its receiver too (RFC 1337; Linux with
	// net.ipv4.tcp_rfc1337 at its default of 0), and its sender has none.
	for _, x := range [2]*end{e, p} {
		if x.state == tcpvet.TimeWait {
			x.state = tcpvet.Unconn
		}
	}
}

// why tells what e's RST most likely was for, and what else it could mean.
func (c *conversation) why(e, p *end) (kind, or reason) {
	answers := &c.ends[c.lastFrom] == p // the last segment was p's
	switch {
	case p.is(sawSYN) && !p.is(synAcked) && !e.is(sawSYN):
		return ofRefused, unknownReason
	case (e.is(sawSYN) || p.is(sawSYN)) && !c.is(connected):
		return unknownReason, unknownReason // the handshake was given up
	case e.silence.probes >= 2:
		return ofKeepaliveTimeout, unknownReason
	case e.silence.probes == 1:
		return ofUserTimeout, ofKeepaliveTimeout
	case e.silence.resent >= 1 && !e.idle():
		if e.silence.dropped() {
			return ofUserTimeout, ofMiddleboxDrop
		}
		return ofUserTimeout, ofLingerZero
	case p.silence.probes >= 1 && answers:
		return ofKeepaliveReset, unknownReason
	case e.is(sawFIN) && p.is(wroteAfter) && p.payloadAt >= e.finAt:
		return ofDataAfterClose, unknownReason
	case p.is(sawFIN) && !e.is(sawFIN):
		if e.is(gotPayload) {
			return ofKilled, ofUnreadData
		}
		return ofKilled, ofLingerZero
	case c.reset.bare && answers && e.is(gotPayload) && !p.idle():
		// Its host knows no such connection; it closed before the capture.
		return ofDataAfterClose, ofMiddleboxReset
	case e.is(gotPayload):
		return ofUnreadData, ofLingerZero
	}
	return ofLingerZero, ofUnreadData
}
