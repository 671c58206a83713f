package capture

import (
	"math"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

// conversation is one that is being followed. Its two ends stand in the order
// of their first segments.
type conversation struct {
	hash   uint32
	slot   int32
	tabled bool
	over   bool // it ended, and waits to be told
	self   bool // both ends are one socket

	number int
	client uint8 // which of ends
	facts  facts
	ends   [2]end

	// A SYN for an endpoint pair whose conversation was not seen to end
	// opens a new one beside it: older, until the answer tells which of
	// them lives (RFC 9293 section 3.10.7.4: a live end answers by a
	// challenge ACK). newer points back.
	older, newer *conversation

	first, last int64
	closedAt    int64 // by the tracker's clock
	lastPayload uint8 // whose the last payload was
	lastFrom    uint8 // whose the last segment was
	firstFIN    uint8 // with facts.fin: who sent the first FIN

	synAckAt    int64
	connectedAt int64
	rtt         int64 // with gotRTT
	httpIdle    int64

	reset resetting
	reuse reuse
}

// facts are yes-or-no facts of a conversation.
type facts uint16

const (
	badAck      facts = 1 << iota // an ACK of the handshake was wrong
	synAckRight                   // that of the SYN-ACK was right
	connected                     // the ACK that ends the handshake passed
	gotRTT
	simultaneous // both ends sent a SYN before the other's
	anyFIN
	http // the server's payload began as an HTTP response does
	kept // the server's payload was captured
	refused
	wasReset
	announced // an HTTP response said that the server would close
)

func (c *conversation) is(f facts) bool { return c.facts&f != 0 }
func (c *conversation) mark(f facts)    { c.facts |= f }

// side tells which end src is, if the conversation is that of src and dst.
func (c *conversation) side(src, dst netip.AddrPort) (int, bool) {
	switch {
	case c.ends[0].addr == src && c.ends[1].addr == dst:
		return 0, true
	case c.ends[1].addr == src && c.ends[0].addr == dst:
		return 1, true
	}
	return 0, false
}

// end names the end with that index.
func (c *conversation) end(i uint8) tcpvet.End {
	if i == c.client {
		return tcpvet.ClientEnd
	}
	return tcpvet.ServerEnd
}

// both ends are where nothing more is to come from.
func (c *conversation) ended() bool {
	for i := range c.ends {
		if s := c.ends[i].state; s != tcpvet.TimeWait && s != tcpvet.Unconn {
			return false
		}
	}
	return true
}

// firstClient guesses which end is the client where no SYN tells: the one
// with the ephemeral port (Linux's default range), else with the higher one.
func firstClient(src, dst netip.AddrPort) uint8 {
	ephemeral := func(port uint16) bool { return port >= 32768 && port <= 60999 }
	s, d := src.Port(), dst.Port()
	if es, ed := ephemeral(s), ephemeral(d); es != ed {
		if ed {
			return 1
		}
		return 0
	}
	if d > s {
		return 1
	}
	return 0
}

// elapsed is the time between two times of a capture, whose clock may have
// been set back in between: never negative.
func elapsed(from, to int64) time.Duration {
	if to <= from {
		return 0
	}
	if d := to - from; d > 0 {
		return time.Duration(d)
	}
	return math.MaxInt64
}
