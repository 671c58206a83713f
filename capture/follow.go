package capture

import (
	"bytes"

	"github.com/tcpvet/tcpvet"
)

// add enters a segment of the end with that index.
func (c *conversation) add(s *Segment, from int) What {
	e, p := &c.ends[from], &c.ends[1-from]
	if c.self {
		p = e
	}
	e.segments++
	if c.reset.doubt && c.reset.by == uint8(from) && s.Flags&RST == 0 {
		c.reset = resetting{} // whoever sent that RST in its name, it goes on
	}
	var what What
	if c.over {
		what = AfterClose
	}
	switch {
	case s.Flags&RST != 0:
		what |= c.addRST(s, e, p)
	case s.Flags&SYN != 0:
		what |= c.addSYN(s, e, p)
		c.handshake(s, e, p)
	default:
		what |= c.addStream(s, e, p)
	}
	if s.Flags&RST == 0 && s.TTL != 0 {
		if e.ttl == 0 {
			e.ttl = s.TTL
		} else if e.ttl != s.TTL {
			e.mark(ttlVaries)
		}
	}
	if what&Ignored == 0 {
		if p != e && what&IsRST == 0 && !c.is(wasReset) {
			p.hears()
		}
		c.lastFrom = uint8(from)
		c.last = max(c.last, s.At)
	}
	return what
}

// addStream enters a segment that neither opens nor resets.
func (c *conversation) addStream(s *Segment, e, p *end) What {
	seq, n := s.Seq, uint32(min(max(s.Len, 0), 1<<30))
	fin := s.Flags&FIN != 0
	lone := n == 0 && !fin
	e.guess(seq, s, lone && e != p)

	wasIdle, una := e.idle() || !e.is(acked), p.una
	var what What
	if s.Flags&ACK != 0 {
		what |= e.announce(s)
		c.acknowledge(s, e, p)
		c.handshake(s, e, p)
	} else if e.state == 0 {
		e.state = tcpvet.Established
	}

	probe := c.probes(seq, n, s, e, p)
	what |= probe
	switch {
	case lone && probe == 0:
		if !s.NoSeq && e.sent.known {
			e.sent.skip(seq, s.At)
		}
		what |= IsACK
		if s.NoSeq {
			e.silence.unnumbered++
		}
		if s.Flags&ACK != 0 && p.is(acked) && p.una == una && s.Ack == una && !p.idle() && p.sent.known && what&(ZeroWindow|WindowUpdate) == 0 {
			what |= DupACK
		}
	case n > 0:
		what |= c.addPayload(seq, n, s, e, p, wasIdle, probe)
	}
	if fin {
		what |= c.addFIN(seq+n, s, e, p)
	}
	if what&Retransmission != 0 {
		e.resent++
		e.silence.resent++
		e.silence.lastResent = s.At
	}
	return what
}

// guess takes the first sequence number of an end from whatever comes first.
// A lone ACK may be a keepalive probe, whose number is one less than what is
// next; that shows later.
func (e *end) guess(seq uint32, s *Segment, lone bool) {
	if !e.sent.known {
		if s.NoSeq {
			return
		}
		e.sent.begin(seq)
		if lone {
			e.mark(guessed)
			e.silence.lone = 0
		}
	}
	if !e.is(guessed) {
		return
	}
	switch {
	case seq == e.sent.nxt+1 && e.silence.lone > 0:
		e.settleGuess(true)
	case !lone || seq != e.sent.nxt:
		e.settleGuess(false)
	default:
		if e.silence.lone == 0 {
			e.silence.firstProbe = s.At
		}
		e.silence.lone++
		e.silence.lastProbe = s.At
	}
}

// probes tells whether a segment is a keepalive or a window probe: nothing, or
// one byte, before what is next (RFC 9293 section 3.8.4, kernel function
// tcp_xmit_probe_skb), or one byte into a window that is zero (section 3.8.6.1).
func (c *conversation) probes(seq, n uint32, s *Segment, e, p *end) What {
	if n > 1 || s.NoSeq || s.Flags&(ACK|FIN) != ACK || !e.sent.known || e.is(guessed) || p.is(acked) && before(s.Ack, p.una) {
		return 0
	}
	old := e.is(acked) && seq+1 == e.una
	switch {
	case p.closed.shut && (old || n == 1 && (seq == e.sent.nxt || seq+1 == e.sent.nxt)):
		p.closed.probes++
		return WindowProbe
	case old && e.idle(), !e.is(acked) && n == 0 && seq+1 == e.sent.nxt:
		e.probes++
		e.silence.probe(s.At)
		return KeepaliveProbe
	}
	return 0
}

// addPayload enters n bytes.
func (c *conversation) addPayload(seq, n uint32, s *Segment, e, p *end, wasIdle bool, probe What) What {
	if probe&KeepaliveProbe != 0 {
		return 0 // its byte is garbage
	}
	e.drop(hiddenOne) // it goes on
	fresh, again, late := e.sent.take(seq, n, s.At)
	e.bytes += uint64(fresh)
	what := IsData
	if probe == 0 {
		if again {
			what |= Retransmission
		}
		if late {
			what |= OutOfOrder
		}
	}
	side := uint8(0)
	if e == &c.ends[1] {
		side = 1
	}
	if fresh > 0 && !again && wasIdle {
		e.silence.firstSent = s.At
		e.silence.idleBefore = int64(elapsed(c.last, s.At))
	}
	e.writes(s.At, n, fresh > 0 && !again, wasIdle, p)
	p.small.ackAt = 0 // the other end sends next because of this
	if fresh > 0 && e.state == tcpvet.CloseWait {
		e.afterFIN.segments++
		e.afterFIN.bytes += uint64(fresh)
		e.afterFIN.lastAt = s.At
	}
	if p.is(sawFIN) {
		e.mark(wroteAfter)
	}
	if side != c.client && len(s.Payload) > 0 {
		c.mark(kept)
		if bytes.HasPrefix(s.Payload, []byte("HTTP/1.")) {
			c.mark(http)
			if saysClose(s.Payload) {
				c.mark(announced)
			}
		}
	}
	e.payloadAt, c.lastPayload = s.At, side
	e.drop(gotPayload)
	if p != e {
		p.mark(gotPayload)
	}
	return what
}

// saysClose tells whether an HTTP response announces that the server closes
// behind it (RFC 9112 section 9.6).
func saysClose(response []byte) bool {
	head, _, _ := bytes.Cut(response, []byte("\r\n\r\n"))
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte{':'})
		if ok && bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(bytes.TrimSpace(value), []byte("close")) {
			return true
		}
	}
	return false
}

// acknowledge enters the acknowledgment number that e sent to p.
func (c *conversation) acknowledge(s *Segment, e, p *end) {
	a := s.Ack
	if p.is(sawSYN) && !p.is(synAcked) && (before(a, p.isn+1) || before(p.sent.nxt, a)) {
		return
	}
	if p.is(sawFIN) && before(p.finSeq+1, a) {
		return // nothing comes after a FIN
	}
	if !p.sent.known {
		p.sent.begin(a)
	}
	if p.is(guessed) {
		switch a {
		case p.sent.nxt + 1:
			p.settleGuess(true)
		case p.sent.nxt:
			p.settleGuess(false)
		}
	}
	if p.sent.nxt+1 == a && !p.is(guessed|sawFIN) && p != e && (p.state == tcpvet.Established || p.state == tcpvet.CloseWait) {
		p.mark(hiddenOne)
		p.hidden, p.hiddenAt = p.sent.nxt, s.At
	}
	p.sent.skip(a, s.At) // it acknowledges what was not captured
	p.timeACK(a, s)
	if !p.is(acked) || before(p.una, a) {
		p.una = a
		p.mark(acked)
	}
	if p.is(sawSYN) && before(p.isn, p.una) {
		p.mark(synAcked)
	}
	if p.is(sawFIN) && before(p.finSeq, a) {
		c.acknowledgeFIN(s, e, p)
	}
	if p.is(hiddenOne) && p.state == tcpvet.CloseWait {
		c.closedUnseen(e, p) // what else would an end send that saw the other's FIN?
	}
}
