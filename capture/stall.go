package capture

import "github.com/tcpvet/tcpvet"

// small follows the small segments of an end, to find those that waited for
// the acknowledgment of the one before (RFC 896, which is Nagle's algorithm)
// while the other end held that back (RFC 9293 section 3.8.6.3, delayed ACKs).
type small struct {
	fastest int64  // the least time in which the other end acknowledged, as seen here; with timed
	sentAt  int64  // when the one that waits passed
	until   uint32 // it ends before this number
	ackAt   int64  // when its late ACK passed, 0 for none
	delay   int64  // how late that was
	total   int64  // of all stalls
	stalls  uint32
	timed   bool
	waits   bool
}

const (
	// Linux delays an ACK by 40 to 200 ms, others by up to the 500 ms that
	// RFC 9293 section 3.8.6.3 allows; a timer may fire a little early.
	delayedACK = 35e6  // ns
	longestACK = 500e6 // ns
	// nextWrite is how soon what waited follows: it was in the queue.
	nextWrite = 5e6 // ns
	// unknownMSS stands for the MSS where no SYN told it: what is less is small.
	unknownMSS = 1000
)

// clock enters a time that the other end took to acknowledge.
func (m *small) clock(d int64) {
	if !m.timed || d < m.fastest {
		m.timed, m.fastest = true, d
	}
}

// writes is called for n bytes of payload that e sends; alone says that
// nothing else was unacknowledged.
func (e *end) writes(at int64, n uint32, fresh, alone bool, p *end) {
	m := &e.small
	limit := uint32(unknownMSS)
	if p.is(hasMSS) {
		limit = uint32(p.mss)
	}
	isSmall := fresh && alone && n < limit
	if m.ackAt != 0 && isSmall && elapsed(m.ackAt, at) <= nextWrite {
		m.stalls++
		m.total += m.delay
	}
	m.ackAt, m.waits = 0, isSmall
	m.sentAt, m.until = at, e.sent.nxt
}

// timeACK is called for an acknowledgment of what e sent.
func (e *end) timeACK(ack uint32, s *Segment) {
	m := &e.small
	if !m.waits || before(ack, m.until) {
		return
	}
	m.waits = false
	d := int64(elapsed(m.sentAt, s.At))
	if s.Len == 0 && s.Flags&FIN == 0 && m.timed && d-m.fastest >= delayedACK && d <= longestACK {
		m.ackAt, m.delay = s.At, d
	}
	m.clock(d)
}

// closedWindow follows the zero windows that an end announced.
type closedWindow struct {
	since  int64 // with shut
	total  int64 // of those that opened again
	times  uint32
	probes uint32 // of the other end
	shut   bool
}

// announce enters the window that e tells in s.
func (e *end) announce(s *Segment) What {
	w := &e.closed
	e.window = s.Window
	switch {
	case s.Window == 0 && !w.shut && e.state != tcpvet.TimeWait && e.state != tcpvet.Unconn:
		w.shut, w.since = true, s.At
		w.times++
		return ZeroWindow
	case s.Window == 0 && w.shut:
		return ZeroWindow
	case s.Window != 0 && w.shut:
		w.shut = false
		w.total += int64(elapsed(w.since, s.At))
		return WindowUpdate
	}
	return 0
}
