package capture

import (
	"time"

	"github.com/tcpvet/tcpvet"
)

// addFIN enters a FIN with that sequence number.
func (c *conversation) addFIN(seq uint32, s *Segment, e, p *end) What {
	e.fins++
	if e.is(sawFIN) {
		if seq != e.finSeq {
			return IsFIN
		}
		if e.is(unseenFIN) && elapsed(e.finAt, s.At) <= reordered*time.Microsecond {
			e.drop(unseenFIN) // it was only overtaken
			return IsFIN | OutOfOrder
		}
		if e.is(finAcked) && e.state == tcpvet.Unconn && !c.is(wasReset) {
			// The last ACK passed here, but did not arrive.
			e.mark(finResent)
			e.state = tcpvet.LastAck
		}
		return IsFIN | Retransmission
	}
	e.drop(hiddenOne) // here it is
	if p.is(hiddenOne) && p != e {
		c.closedUnseen(e, p) // it sent nothing more, and now e closes too
	}
	e.mark(sawFIN)
	e.finSeq, e.finAt = seq, s.At
	e.sent.take(seq, 1, s.At)
	if !c.is(anyFIN) {
		c.mark(anyFIN)
		if e == &c.ends[1] {
			c.firstFIN = 1
		}
		if c.firstFIN != c.client && c.lastPayload == c.firstFIN && e.bytes > 0 {
			c.httpIdle = int64(elapsed(e.payloadAt, s.At))
		}
	}
	if p.is(sawFIN) && p != e {
		if s.Flags&ACK == 0 || !before(p.finSeq, s.Ack) {
			e.mark(finBlind)
		} else if !e.is(ackedFINBefore) {
			e.mark(finWithACK)
		}
	}
	switch e.state {
	case 0, tcpvet.Established, tcpvet.SynSent, tcpvet.SynRecv:
		e.state = tcpvet.FinWait1
	case tcpvet.CloseWait:
		e.state = tcpvet.LastAck
	}
	return IsFIN
}

// acknowledgeFIN enters that e acknowledges p's FIN.
func (c *conversation) acknowledgeFIN(s *Segment, e, p *end) {
	if p.is(finAcked) {
		e.mark(ackedFINBefore)
		if p.is(finResent) {
			p.mark(reacked)
			if p.state == tcpvet.LastAck {
				p.state = tcpvet.Unconn
			}
		}
		return
	}
	p.mark(finAcked)
	p.finAckedAt = s.At
	if p == e { // a socket connected to itself
		if e.state != tcpvet.Unconn { // an RST came before
			e.state = tcpvet.TimeWait
		}
		return
	}
	switch p.state {
	case tcpvet.FinWait1:
		if s.Flags&FIN != 0 && !e.is(sawFIN) {
			break // with the FIN in it, it leads straight to TIME-WAIT (RFC 9293 section 3.10.7.4)
		}
		p.state = tcpvet.FinWait2
		if p.is(finBlind) && e.is(sawFIN) {
			// e's FIN crossed p's, and comes before this ACK: p is in
			// CLOSING, which its own ACK of that FIN will show.
			p.state = tcpvet.Closing
		}
	case tcpvet.Closing:
		p.state = tcpvet.TimeWait
	case tcpvet.LastAck:
		p.state = tcpvet.Unconn
	}
	switch e.state {
	case 0, tcpvet.Established, tcpvet.SynSent, tcpvet.SynRecv:
		e.state = tcpvet.CloseWait
	case tcpvet.FinWait1, tcpvet.Closing:
		e.state = tcpvet.Closing
		if e.is(finAcked) {
			e.state = tcpvet.TimeWait
		}
	case tcpvet.FinWait2:
		e.state = tcpvet.TimeWait
	}
}

// closedUnseen enters a FIN of p that did not pass here: e acknowledged its
// number.
func (c *conversation) closedUnseen(e, p *end) {
	p.drop(hiddenOne)
	p.mark(sawFIN | finAcked | unseenFIN)
	p.finSeq, p.finAt, p.finAckedAt = p.hidden, p.hiddenAt, p.hiddenAt
	if !c.is(anyFIN) {
		c.mark(anyFIN)
		if p == &c.ends[1] {
			c.firstFIN = 1
		}
		e.mark(ackedFINBefore)
		if p.state != tcpvet.Unconn {
			p.state = tcpvet.FinWait2
		}
		if e.state == tcpvet.Established {
			e.state = tcpvet.CloseWait
		}
		return
	}
	p.state = tcpvet.Unconn
	if e.state == tcpvet.FinWait2 {
		e.state = tcpvet.TimeWait
	}
}

// crossed tells whether each end sent its FIN before it had the other's.
func (c *conversation) crossed() bool {
	first, second := &c.ends[c.firstFIN], &c.ends[1-c.firstFIN]
	return first.is(sawFIN) && second.is(sawFIN) && second.is(finBlind)
}

// ending tells how the conversation ended.
func (c *conversation) ending(d *details) tcpvet.Ending {
	end := tcpvet.Ending{Kind: tcpvet.NoClose, First: tcpvet.NoEnd, ResetBy: tcpvet.NoEnd, TimeWait: c.timeWait()}
	if c.is(wasReset) {
		end.ResetBy = c.end(c.reset.by)
		if c.is(refused) {
			return end
		}
		end.First = end.ResetBy
	}
	first, second := &c.ends[c.firstFIN], &c.ends[1-c.firstFIN]
	if c.is(anyFIN) {
		end.First = c.end(c.firstFIN)
		switch {
		case c.self && first.is(finAcked), c.crossed():
			end.Kind, end.First = tcpvet.SimultaneousClose, tcpvet.BothEnds
		case second.is(finWithACK):
			end.Kind = tcpvet.ThreeWay
		case second.is(sawFIN):
			end.Kind = tcpvet.FourWay
		default:
			end.Kind = tcpvet.HalfClosed
		}
		if end.Kind == tcpvet.ThreeWay || end.Kind == tcpvet.FourWay {
			wait := elapsed(first.finAckedAt, second.finAt)
			if !second.is(unseenFIN) { // when it was sent is not known
				end.PassiveWait = d.duration(wait)
				if end.Kind == tcpvet.FourWay {
					end.FinWait2 = d.duration(wait)
				}
			}
		}
	}
	if c.is(wasReset) {
		end.Kind = tcpvet.Reset
	}
	return end
}

func (c *conversation) timeWait() tcpvet.End {
	client, server := c.ends[c.client].state == tcpvet.TimeWait, c.ends[1-c.client].state == tcpvet.TimeWait
	switch {
	case client && server:
		return tcpvet.BothEnds
	case client:
		return tcpvet.ClientEnd
	case server:
		return tcpvet.ServerEnd
	}
	return tcpvet.NoEnd
}
