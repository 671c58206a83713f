package capture

import (
	"time"

	"github.com/tcpvet/tcpvet"
)

// reuse is what a conversation knows of the one whose TIME-WAIT it took the
// endpoints of.
type reuse struct {
	number int // 0 for none
	after  time.Duration
}

// reusedAt tells of the conversation that a new SYN replaces whether somebody
// still keeps its TIME-WAIT.
func (c *conversation) reusedAt(now int64) reuse {
	for i := range c.ends {
		if after := elapsed(c.last, now); c.ends[i].state == tcpvet.TimeWait && after <= timeWait {
			return reuse{c.number, after}
		}
	}
	return reuse{}
}

// opensAgain tells whether a SYN opens another conversation than c, which has
// the same endpoints.
func (c *conversation) opensAgain(from int, s *Segment) bool {
	e, p := &c.ends[from], &c.ends[1-from]
	if c.self {
		p = e
	}
	switch {
	case e.is(sawSYN):
		if e.isn == s.Seq {
			return false
		}
		// A second SYN-ACK with another number, as with SYN cookies that
		// have expired, is still an answer to this conversation's SYN.
		return !s.Flags.Has(ACK) || c.over || c.is(connected) || !p.is(sawSYN) || s.Ack != p.isn+1
	case c.over:
		return true
	case e.sent.known && e.sent.base == s.Seq+1:
		return false // it was overtaken by what came after it
	case s.Flags.Has(ACK):
		return c.is(connected) || !p.is(sawSYN)
	}
	// The other end's SYN waits for an answer, and this is one: both ends
	// open (RFC 9293 section 3.5).
	return !(p.is(sawSYN) && !p.is(synAcked) && e.segments == 0)
}

// unanswered tells whether nothing came back for the SYNs.
func (c *conversation) unanswered() bool {
	opener, other := &c.ends[c.client], &c.ends[1-c.client]
	return !c.self && opener.state == tcpvet.SynSent && other.segments == 0 && !c.is(wasReset)
}

// answered tells whether the other end accepted the SYN, or refused it.
func (c *conversation) answered() bool {
	return c.ends[0].is(synAcked) || c.ends[1].is(synAcked) || c.is(refused)
}

// answers tells whether a segment belongs to a conversation that was opened
// beside an older one: it is from the end that did not open it and
// acknowledges its SYN.
func (c *conversation) answers(from int, s *Segment) bool {
	opener := &c.ends[1-from]
	return s.Flags.Has(ACK) && opener.is(sawSYN) && s.Ack == opener.isn+1
}

// addSYN enters a segment with the flag SYN, and without RST.
func (c *conversation) addSYN(s *Segment, e, p *end) What {
	what := IsSYN
	if s.Flags.Has(ACK) {
		what = IsSYNACK
	}
	if s.Len > 0 {
		what |= IsData // RFC 7413
	}
	again := e.is(sawSYN) && (what&IsSYNACK == 0 || e.synAcks > 0)
	e.syns++
	if what&IsSYNACK != 0 {
		e.synAcks++
	}
	if again {
		e.resent++
		what |= Retransmission
	}
	if !e.is(sawSYN) || e.isn != s.Seq && !c.is(connected) {
		e.isn = s.Seq
		if !e.sent.known || !before(s.Seq, e.sent.nxt) || before(s.Seq+1, e.sent.base) {
			e.sent = span{}
			e.sent.begin(s.Seq)
		} else {
			e.sent.base = s.Seq
		}
		if before(e.sent.nxt, s.Seq+1) {
			e.sent.nxt = s.Seq + 1
		}
		e.drop(guessed)
		e.firstSYN = s.At
		e.readOptions(&s.Options)
		if p.is(sawSYN) && !p.is(synAcked) && p.synAcks == 0 && what&IsSYNACK == 0 {
			c.mark(simultaneous)
		}
		e.mark(sawSYN)
		if e.is(acked) && before(e.isn, e.una) {
			e.mark(synAcked) // its SYN-ACK overtook it
		}
	}
	e.lastSYN, e.window = s.At, s.Window
	if s.Len > 0 {
		fresh, _, _ := e.sent.take(s.Seq+1, uint32(s.Len), s.At)
		e.bytes += uint64(fresh)
	}
	if e.state == 0 {
		e.state = tcpvet.SynSent
	}
	if what&IsSYNACK != 0 {
		c.addSYNACK(s, e, p)
	}
	return what
}

func (c *conversation) addSYNACK(s *Segment, e, p *end) {
	if p.is(sawSYN) && (before(s.Ack, p.isn+1) || before(p.sent.nxt, s.Ack)) {
		c.mark(badAck) // its receiver answers by RST and stays in SYN-SENT
		return
	}
	if e.state == tcpvet.SynSent {
		e.state = tcpvet.SynRecv
	}
	if !c.is(synAckRight) {
		c.mark(synAckRight)
		c.synAckAt = s.At
		if p.is(sawSYN) && !c.is(simultaneous) {
			c.mark(gotRTT)
			c.rtt = int64(elapsed(p.lastSYN, s.At))
			p.small.clock(c.rtt)
		}
	}
	c.acknowledge(s, e, p)
}

// handshake moves both ends on to ESTAB once each has acknowledged the other's
// SYN. An end that was never seen must have, if this one goes on.
func (c *conversation) handshake(s *Segment, e, p *end) {
	if !s.Flags.Has(ACK) {
		return
	}
	if s.Flags&SYN == 0 {
		if e.state == tcpvet.SynSent && p.segments == 0 && !c.self {
			e.mark(synAcked) // only one direction was captured
			p.mark(synAcked)
		}
		if e.state == 0 {
			if p.is(sawSYN) && !p.is(synAcked) {
				return // a challenge ACK, from an older connection
			}
			e.state = tcpvet.Established // it was open before the capture began
			if p.is(synAcked) {
				e.mark(synAcked) // its SYN-ACK was not captured
			}
		}
		if p.state == 0 {
			p.state = tcpvet.Established
		}
	}
	if !e.is(synAcked) || !p.is(synAcked) {
		return
	}
	for _, x := range [2]*end{e, p} {
		if x.state == tcpvet.SynSent || x.state == tcpvet.SynRecv {
			x.state = tcpvet.Established
		}
	}
	if !c.is(connected) {
		c.mark(connected)
		c.connectedAt = s.At
		if c.is(synAckRight) && e.is(sawSYN) {
			p.small.clock(int64(elapsed(c.synAckAt, s.At)))
		}
		if p.is(sawSYN) && (before(s.Ack, p.isn+1) || before(p.sent.nxt, s.Ack)) {
			c.mark(badAck)
		}
	}
}

// readOptions keeps the options that only a SYN has.
func (e *end) readOptions(o *Options) {
	e.drop(hasMSS | hasWScale | hasSACK | hasTimes | hasFastOpen)
	if o.Has&HasMSS != 0 {
		e.mark(hasMSS)
		e.mss = o.MSS
	}
	if o.Has&HasWScale != 0 {
		e.mark(hasWScale)
		e.wscale = o.WScale
	}
	if o.Has&HasSACKPermitted != 0 {
		e.mark(hasSACK)
	}
	if o.Has&HasTimestamps != 0 {
		e.mark(hasTimes)
	}
	if o.Has&HasFastOpen != 0 {
		e.mark(hasFastOpen)
	}
}

// opening tells how the conversation began.
func (c *conversation) opening(d *details) tcpvet.Opening {
	client, server := &c.ends[c.client], &c.ends[1-c.client]
	o := tcpvet.Opening{Kind: tcpvet.Handshake}
	switch {
	case c.is(refused):
		o.Kind = tcpvet.Refused
	case c.is(simultaneous) || c.self && client.is(sawSYN):
		o.Kind = tcpvet.SimultaneousOpen
	case !client.is(sawSYN) && !server.is(sawSYN):
		o.Kind = tcpvet.Midstream
		return o
	case client.is(sawSYN) && !c.answered():
		o.Kind = tcpvet.Unanswered
	}
	if n := client.syns - client.synAcks; n > 1 {
		o.SYNRetransmits = uint64(n - 1)
	}
	if c.is(connected) && client.is(sawSYN) && server.is(sawSYN) {
		o.Connect = d.duration(elapsed(client.firstSYN, c.connectedAt))
	}
	if c.is(gotRTT) {
		o.RTT = d.duration(time.Duration(c.rtt))
	}
	if client.is(sawSYN) && server.is(sawSYN) && (c.is(connected) || c.is(badAck)) {
		d.acksOK = !c.is(badAck)
		o.AcksOK = &d.acksOK
	}
	o.ClientISN, o.ClientOptions = client.synOptions(&d.options[0])
	o.ServerISN, o.ServerOptions = server.synOptions(&d.options[1])
	return o
}

// synDetails is the memory for what one end's SYN says.
type synDetails struct {
	isn     uint32
	mss     uint16
	wscale  uint8
	options tcpvet.SYNOptions
}

func (e *end) synOptions(d *synDetails) (*uint32, *tcpvet.SYNOptions) {
	if !e.is(sawSYN) {
		return nil, nil
	}
	d.isn, d.mss, d.wscale = e.isn, e.mss, e.wscale
	if e.is(hasMSS) {
		d.options.MSS = &d.mss
	}
	if e.is(hasWScale) {
		d.options.WScale = &d.wscale
	}
	d.options.SACK, d.options.Timestamps, d.options.FastOpen = e.is(hasSACK), e.is(hasTimes), e.is(hasFastOpen)
	return &d.isn, &d.options
}
