package capture

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// reset writes why the RST that ended the conversation may have come.
func (n *noter) reset() {
	c := n.c
	r := &c.reset
	if !c.is(wasReset) || c.is(refused) {
		return
	}
	by, other := n.close.ResetBy, n.other(r.by)
	e, p := &c.ends[r.by], &c.ends[1-r.by]
	if r.ttl != 0 || r.both {
		note := likely(tcpvet.MiddleboxReset, tcpvet.NoEnd, "")
		if r.both {
			note.Took = time.Duration(r.idle)
			note.Text = fmt.Sprintf("RSTs in the names of both ends came within %s, after %s of silence: a middlebox between them ended the connection.",
				length(bothAtOnce), length(time.Duration(r.idle)))
		} else {
			note.Text = fmt.Sprintf("The RST in the name of the %s has a TTL of %d, its other segments have %d: another host sent it.", by, r.ttl, e.ttl)
		}
		for _, why := range [...]reason{r.kind, r.or} {
			if why != unknownReason && why != ofMiddleboxReset {
				note.Or = append(note.Or, why.note())
			}
		}
		n.add(note)
		return
	}
	q := &e.silence
	if r.kind == ofKeepaliveReset {
		q = &p.silence
	}
	kind, or := r.kind.note(), r.or.note()
	switch r.kind {
	case ofKeepaliveTimeout:
		n.add(tcpvet.Note{Kind: kind, By: other, Count: uint64(q.probes), Took: elapsed(q.firstProbe, r.at),
			Text: fmt.Sprintf("The %s sent %s, %s apart, and none was answered; it gave up by RST %s after the first.",
				by, count(q.probes, "keepalive probe"), length(elapsed(q.firstProbe, q.lastProbe)/time.Duration(max(q.probes-1, 1))), length(elapsed(q.firstProbe, r.at)))})
	case ofUserTimeout:
		what, first := "1 keepalive probe", q.firstProbe
		if q.probes == 0 {
			what, first = fmt.Sprintf("data and %s of it", count(q.resent, "retransmission")), q.firstSent
		}
		note := likely(kind, other, fmt.Sprintf("The %s sent %s, had no answer, and gave up by RST %s later: sooner than keepalive or retransmission would by themselves, as TCP_USER_TIMEOUT does.",
			by, what, length(elapsed(first, r.at))), or)
		note.Took = elapsed(first, r.at)
		n.add(note)
	case ofKeepaliveReset:
		n.add(tcpvet.Note{Kind: kind, By: by, Count: uint64(q.probes), Took: elapsed(q.firstProbe, r.at),
			Text: fmt.Sprintf("The %s answered a keepalive probe with an RST: it no longer knew the connection, as after a restart.", by)})
	case ofDataAfterClose:
		if e.is(sawFIN) {
			n.afterClose(1 - r.by)
			return
		}
		n.add(likely(kind, other, fmt.Sprintf("The %s answered data with an RST that acknowledges nothing: its host knew no such connection any more.", by), or))
	case ofKilled:
		note := likely(kind, by, fmt.Sprintf("The %s sent an RST %s after the other end's FIN, and no FIN of its own: the connection was killed, or its process, while in CLOSE-WAIT.",
			by, length(elapsed(p.finAt, r.at))), or)
		note.Took = elapsed(p.finAt, r.at)
		if r.or == ofUnreadData {
			note.Or = append(note.Or, tcpvet.LingerZeroReset)
		}
		n.add(note)
	case ofUnreadData:
		n.add(likely(kind, by, fmt.Sprintf("The %s sent an RST and no FIN, %s after the last data that it was sent: it closed, it seems, before it had read that.",
			by, length(elapsed(p.payloadAt, r.at))), or))
	case ofLingerZero:
		if e.segments == 1 && p.segments == 0 {
			return // the RST is all that was captured
		}
		var more []tcpvet.NoteKind
		if e.silence.unnumbered > 0 {
			more = []tcpvet.NoteKind{tcpvet.KeepaliveTimeout, tcpvet.UserTimeout}
		}
		note := likely(kind, by, fmt.Sprintf("The %s sent an RST in place of a FIN, with no data on its way to it: it closed with SO_LINGER set to 0 s, it seems, or was killed.", by), or)
		note.Or = append(note.Or, more...)
		n.add(note)
	}
}

// afterClose writes data-after-close, where the end w wrote.
func (n *noter) afterClose(w uint8) {
	c := n.c
	e, p := &c.ends[1-w], &c.ends[w]
	n.add(tcpvet.Note{Kind: tcpvet.DataAfterClose, By: c.end(w), Took: elapsed(e.finAt, p.payloadAt),
		Text: fmt.Sprintf("The %s sent data %s after the %s's FIN; the %s had closed and answered by RST.",
			c.end(w), length(elapsed(e.finAt, p.payloadAt)), n.other(w), n.other(w))})
}
