package capture

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// opened writes refused and syn-unanswered.
func (n *noter) opened() {
	c := n.c
	opener := &c.ends[c.client]
	switch {
	case c.is(refused):
		n.add(tcpvet.Note{Kind: tcpvet.NoteRefused, By: n.close.ResetBy, Took: elapsed(opener.lastSYN, c.reset.at),
			Text: fmt.Sprintf("The %s answered the SYN with an RST after %s: nothing listens on port %d.",
				n.close.ResetBy, length(elapsed(opener.lastSYN, c.reset.at)), c.ends[1-c.client].addr.Port())})
	case c.unanswered():
		took := elapsed(opener.firstSYN, max(n.now, opener.lastSYN))
		const least = time.Second // a SYN is sent again after that (RFC 6298 section 2.1): till then the answer may be on its way
		if took < least {
			return
		}
		n.add(tcpvet.Note{Kind: tcpvet.SYNUnanswered, By: n.other(c.client), Count: uint64(opener.syns), Took: took,
			Text: fmt.Sprintf("The client sent %s to port %d, the last after %s, and nothing came back in %s.",
				count(opener.syns, "SYN"), c.ends[1-c.client].addr.Port(), length(elapsed(opener.firstSYN, opener.lastSYN)), length(took))})
	}
}

// reused writes port-reused.
func (n *noter) reused() {
	if r := n.c.reuse; r.number != 0 {
		n.add(tcpvet.Note{Kind: tcpvet.PortReused, By: tcpvet.ClientEnd, Took: r.after,
			Text: fmt.Sprintf("The client opened it with the same ports %s after the last segment of conversation %d, of which a TIME-WAIT was left.",
				length(r.after), r.number)})
	}
}
