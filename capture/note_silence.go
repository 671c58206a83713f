package capture

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// unheard writes what end i sent in vain and what nobody ended:
// keepalive-unanswered and middlebox-drop.
func (n *noter) unheard(i uint8) {
	c := n.c
	e := &c.ends[i]
	if c.is(wasReset) || c.over {
		return
	}
	q := &e.silence
	if e.is(guessed) && q.lone >= 2 && c.ends[1-i].segments == 0 && elapsed(q.firstProbe, q.lastProbe)/time.Duration(q.lone-1) >= time.Second {
		n.add(likely(tcpvet.KeepaliveUnanswered, n.other(i), fmt.Sprintf("The %s sent the same ACK %d times, %s apart: keepalive probes, it seems, and none was answered.",
			c.end(i), q.lone, length(elapsed(q.firstProbe, q.lastProbe)/time.Duration(q.lone-1)))))
	}
	// One that was just sent may still be answered.
	if q.probes >= 2 || q.probes == 1 && n.since(q.lastProbe) >= time.Second {
		n.add(tcpvet.Note{Kind: tcpvet.KeepaliveUnanswered, By: n.other(i), Count: uint64(q.probes), Took: n.since(q.firstProbe),
			Text: fmt.Sprintf("The %s sent %s and had no answer; the capture shows no end of the connection in the %s since the first.",
				c.end(i), count(q.probes, "keepalive probe"), length(n.since(q.firstProbe)))})
	}
	if q.dropped() && e.is(acked) {
		note := likely(tcpvet.MiddleboxDrop, tcpvet.NoEnd, fmt.Sprintf(
			"After %s of silence the %s sent data and then %s of it over %s, and nothing came back, though earlier segments were acknowledged: a middlebox forgot the connection, or the other host is gone.",
			length(time.Duration(q.idleBefore)), c.end(i), count(q.resent, "retransmission"), length(elapsed(q.firstSent, q.lastResent))), tcpvet.UserTimeout)
		note.Count, note.Took = uint64(q.resent), time.Duration(q.idleBefore)
		n.add(note)
	}
}
