package capture

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// closed writes what is worth saying of the FINs.
func (n *noter) closed() {
	c := n.c
	if !c.is(anyFIN) {
		return
	}
	f := c.firstFIN
	first, second := &c.ends[f], &c.ends[1-f]
	active, passive := c.end(f), n.other(f)

	n.httpIdle()
	afterClose := c.reset.kind == ofDataAfterClose && c.is(wasReset)
	for i := range c.ends {
		if c.ends[i].is(answeredLate) {
			n.afterClose(uint8(i))
			afterClose = true
		}
	}
	if a := &second.afterFIN; a.segments > 0 && !afterClose {
		took := elapsed(first.finAt, a.lastAt)
		n.add(tcpvet.Note{Kind: tcpvet.HalfCloseData, By: passive, Count: a.bytes, Took: took,
			Text: fmt.Sprintf("The %s sent %s in %s after the %s's FIN, the last %s after it: a half-close, and legal.",
				passive, count(a.bytes, "byte"), count(a.segments, "segment"), active, length(took))})
	}
	if n.close.Kind == tcpvet.HalfClosed && first.is(finAcked) && second.state == tcpvet.CloseWait && second.afterFIN.segments == 0 {
		took := n.since(first.finAckedAt)
		n.add(tcpvet.Note{Kind: tcpvet.CloseWaitStuck, By: passive, Count: 1, Took: took,
			Text: fmt.Sprintf("The %s closed; the %s acknowledged that and has not closed its own side in the %s since: it is in CLOSE-WAIT.",
				active, passive, length(took))})
	}
	if c.crossed() {
		n.add(tcpvet.Note{Kind: tcpvet.NoteSimultaneous, By: tcpvet.BothEnds, Took: elapsed(first.finAt, second.finAt),
			Text: fmt.Sprintf("Both ends closed within %s, before either had the other's FIN: each then keeps a TIME-WAIT.", length(elapsed(first.finAt, second.finAt)))})
	}
	for i := range c.ends {
		if e := &c.ends[i]; e.is(finResent) {
			then := "no further ACK was seen"
			if e.is(reacked) {
				then = "it was acknowledged again"
			}
			n.add(tcpvet.Note{Kind: tcpvet.LostLastACK, By: tcpvet.NoEnd, Count: uint64(e.fins - 1),
				Text: fmt.Sprintf("The %s sent its FIN again after the last ACK had passed here, which did not reach it; %s.", c.end(uint8(i)), then)})
		}
	}
}

// httpIdle writes http-idle-close: the server ended a connection that had
// carried a response and then was silent.
func (n *noter) httpIdle() {
	c := n.c
	idle := time.Duration(c.httpIdle)
	port := c.ends[1-c.client].addr.Port()
	usual := !c.is(kept) && (port == 80 || port == 8080)
	if idle < longIdle || !c.is(http) && !usual || c.crossed() || c.is(announced) {
		return
	}
	// A server that is stopped closes its idle connections too.
	note := tcpvet.Note{Kind: tcpvet.HTTPIdleClose, Certainty: tcpvet.Likely, By: tcpvet.ServerEnd, Count: 1, Took: idle,
		Text: fmt.Sprintf("The server closed first, %s after its last response: that is its limit for idle HTTP connections, unless it was being stopped, and the client's must be less.", length(idle))}
	if !c.is(http) {
		note.Text = fmt.Sprintf("The server closed first, %s after its last data, and port %d is for HTTP: that seems to be its limit for idle connections, and the client's must be less.", length(idle), port)
	}
	n.add(note)
}
