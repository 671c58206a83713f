package capture

import (
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// end is one end of a conversation: its state of RFC 9293 section 3.3.2 and
// what it sent, as far as it passed the place of the capture.
//
// An ACK and an RST act on their receiver as they pass, since it may never send
// anything that shows it. A SYN and a FIN act on their receiver when its own
// acknowledgment number shows that they arrived: sent to a host that is gone,
// they change nothing there.
type end struct {
	addr  netip.AddrPort
	state tcpvet.State
	has   marks

	sent     span   // what it used of its sequence numbers
	isn      uint32 // with sawSYN
	una      uint32 // with acked: the other end acknowledged all before it (SND.UNA)
	finSeq   uint32 // with sawFIN: the number of its FIN
	hidden   uint32 // with hiddenOne: that number
	window   uint16 // last advertised, unshifted
	ttl      uint8
	wscale   uint8
	mss      uint16
	segments uint64
	bytes    uint64
	resent   uint32
	probes   uint32 // keepalive
	syns     uint32
	synAcks  uint32
	fins     uint32
	rsts     uint32

	firstSYN, lastSYN int64
	finAt, finAckedAt int64 // its FIN, and the first segment that acknowledged it
	hiddenAt          int64 // with hiddenOne: when it was acknowledged
	payloadAt         int64 // its last payload

	silence silence
	small   small
	closed  closedWindow
	recent  recent

	afterFIN afterFIN
}

// marks are yes-or-no facts of an end.
type marks uint32

const (
	sawSYN   marks = 1 << iota
	synAcked       // the other end acknowledged its SYN
	acked          // una is known
	guessed        // sent.nxt comes from a lone ACK: it may be one less, were that a keepalive probe
	sawFIN
	finAcked
	finBlind       // the ACK of its FIN segment does not cover the other's FIN
	finWithACK     // its FIN segment was the first to acknowledge the other's FIN
	ackedFINBefore // it had acknowledged the other's FIN before its last segment
	finResent      // its FIN was sent again after the ACK of it had passed
	reacked        // and was acknowledged again
	wroteAfter     // it sent payload after the other's FIN had passed
	gotPayload     // the other end sent payload since its own last payload
	ttlVaries      // its segments came with several TTLs
	hasWScale
	hasMSS
	hasSACK
	hasTimes
	hasFastOpen
	answeredLate // an end that was closed answered its payload by RST
	hiddenOne    // one number was acknowledged that did not pass here, and no payload since: a FIN, it may be
	unseenFIN    // that was a FIN, as what followed shows
)

func (e *end) is(m marks) bool { return e.has&m != 0 }
func (e *end) mark(m marks)    { e.has |= m }
func (e *end) drop(m marks)    { e.has &^= m }

// idleness: all that e sent was acknowledged.
func (e *end) idle() bool { return e.is(acked) && e.sent.known && e.una == e.sent.nxt }

// scaledWindow is how many bytes it would take, in the last segment seen.
func (e *end) scaledWindow(peer *end) uint32 {
	switch {
	case e.is(hasWScale) && peer.is(hasWScale):
		return uint32(e.window) << min(e.wscale, 14) // RFC 7323 section 2.3
	case e.is(sawSYN) && peer.is(sawSYN):
		return uint32(e.window)
	}
	// The shift was told in SYNs that the capture lacks.
	const usual = 8
	return uint32(e.window) << usual
}

// hears is called when a segment of the other end passes: whatever was
// unanswered has been answered, or at least its receiver lives.
func (e *end) hears() {
	e.silence.probes, e.silence.resent, e.silence.unnumbered = 0, 0, 0
}

// afterFIN is what an end sent after it had acknowledged the other's FIN.
type afterFIN struct {
	segments uint32
	bytes    uint64
	lastAt   int64
}

// silence is what an end sent since it last heard from the other: probes, and
// data again and again.
type silence struct {
	probes     uint32 // keepalive probes without an answer
	resent     uint32 // retransmissions without an answer
	unnumbered uint32 // ACKs whose own number was not printed: they may have been probes
	lone       uint32 // with guessed: lone ACKs that will have been probes if nxt is one more
	firstProbe int64  // or lone ACK
	lastProbe  int64
	firstSent  int64 // when the oldest unacknowledged data passed first
	idleBefore int64 // how long neither end had sent anything before that
	lastResent int64
}

// longIdle is a silence after which an entry of a middlebox may be gone, and an
// HTTP server's patience be at its end: pauses within an exchange are shorter.
const longIdle = 1e9 // ns

// dropped tells whether data after a silence was sent again and again.
func (s *silence) dropped() bool { return s.resent >= 3 && s.idleBefore >= longIdle }

func (s *silence) probe(at int64) {
	if s.probes == 0 {
		s.firstProbe = at
	}
	s.probes++
	s.lastProbe = at
}

// settleGuess ends a guess: the lone ACKs were keepalive probes, or they were not.
func (e *end) settleGuess(wereProbes bool) {
	if e.is(guessed) && wereProbes {
		e.sent.nxt++
		e.sent.base = e.sent.nxt
		e.probes += e.silence.lone
		e.silence.probes = e.silence.lone
	}
	e.drop(guessed)
}
