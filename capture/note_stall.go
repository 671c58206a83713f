package capture

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// stalled writes what made end i, or the other because of it, wait:
// nagle-delayed-ack and zero-window.
func (n *noter) stalled(i uint8) {
	c := n.c
	e := &c.ends[i]
	if m := &e.small; m.stalls > 0 {
		note := tcpvet.Note{Kind: tcpvet.NagleDelayedACK, By: c.end(i), Count: uint64(m.stalls), Took: time.Duration(m.total),
			Text: fmt.Sprintf("The %s held small segments back %s until a delayed ACK came, %s each time on average: TCP_NODELAY, or one write in place of two, would spare it %s.",
				c.end(i), times(m.stalls), length(time.Duration(m.total)/time.Duration(m.stalls)), length(time.Duration(m.total)))}
		const pattern = 3 // less may be chance: the next write came just after a late ACK
		if m.stalls < pattern {
			note.Certainty = tcpvet.Likely
		}
		n.add(note)
	}
	if w := &e.closed; w.times > 0 {
		total, end := time.Duration(w.total), ""
		if w.shut {
			total += elapsed(w.since, c.last)
			end = ", and still was at its last segment"
		}
		n.add(tcpvet.Note{Kind: tcpvet.ZeroWindow, By: c.end(i), Count: uint64(w.times), Took: total,
			Text: fmt.Sprintf("The %s did not read fast enough: its window was zero %s, for %s in all%s, and the %s sent %s.",
				c.end(i), times(w.times), length(total), end, n.other(i), count(w.probes, "window probe"))})
	}
}
