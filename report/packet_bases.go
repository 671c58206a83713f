package report

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// maxBases is of how many conversations it is remembered what their numbers
// are relative to.
const maxBases = 1 << 16

// bases hold the numbers that tcpdump takes from those of a conversation (its
// function tcp_print): those of the first segment with an ACK, whose own
// numbers it prints as they are. That is not what Step says where the capture
// began in the middle.
type bases struct {
	of map[int]base
	// forgotten is the newest conversation whose base was given up: the ones
	// up to it have the base that Step says.
	forgotten, newest int
}

type base struct{ client, server uint32 }

// relativeTo gives what is to be taken from the sequence number and from the
// acknowledgment number of s.
func (p *Packets) relativeTo(s *capture.Segment, step *capture.Step) (from, to uint32) {
	// A number that acknowledges nothing is no part of a conversation's
	// numbers, so far as tcpdump knows.
	if p.opt.Absolute || !s.Flags.Has(capture.ACK) {
		return 0, 0
	}
	byServer := step.From == tcpvet.ServerEnd
	t := &p.bases
	known, ok := t.of[step.Number]
	switch {
	case ok && !s.Flags.Has(capture.SYN):
	case !ok && step.Number <= t.forgotten:
		return step.SeqBase, step.AckBase
	default:
		known = base{client: s.Seq, server: s.Ack - 1}
		if byServer {
			known = base{client: s.Ack - 1, server: s.Seq}
		}
		t.put(step.Number, known)
		return 0, 0
	}
	if byServer {
		return known.server, known.client
	}
	return known.client, known.server
}

func (t *bases) put(number int, b base) {
	switch {
	case t.of == nil:
		t.of = map[int]base{}
	case len(t.of) >= maxBases:
		clear(t.of)
		t.forgotten = t.newest
	}
	t.of[number] = b
	t.newest = max(t.newest, number)
}
