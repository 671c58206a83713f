package capture

import (
	"time"

	"github.com/tcpvet/tcpvet"
)

// details is the memory of one told conversation: one allocation holds it and
// all that it points to, but for its notes.
type details struct {
	conversation tcpvet.Conversation
	durations    [4]time.Duration
	used         int
	acksOK       bool
	options      [2]synDetails
}

func (d *details) duration(v time.Duration) *time.Duration {
	p := &d.durations[d.used]
	d.used++
	*p = v
	return p
}

// told writes down what is known of a conversation at that time, into d, which
// is empty.
func (c *conversation) told(d *details, now int64, opt *TrackerOptions) *tcpvet.Conversation {
	if c.reset.doubt {
		c.resetNow() // nothing more came from its sender: it was meant
	}
	v := &d.conversation
	client, server := &c.ends[c.client], &c.ends[1-c.client]
	v.File, v.Number = opt.File, c.number
	v.Client, v.Server = client.addr, server.addr
	if opt.Dated {
		v.Start = time.Unix(0, c.first).UTC()
	}
	v.Duration = elapsed(c.first, c.last)
	v.Open = c.opening(d)
	v.Close = c.ending(d)
	v.ClientState, v.ServerState = client.state, server.state
	v.FromClient, v.FromServer = client.flow(), server.flow()
	if c.self {
		v.ServerState = v.ClientState
	}
	n := noter{c: c, close: &v.Close, now: now}
	n.write()
	v.Notes = n.notes
	return v
}

func (e *end) flow() tcpvet.Flow {
	return tcpvet.Flow{
		Packets: e.segments, Bytes: e.bytes, Retransmits: uint64(e.resent), Probes: uint64(e.probes),
		SYNs: uint64(e.syns), FINs: uint64(e.fins), RSTs: uint64(e.rsts),
	}
}
