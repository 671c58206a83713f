package bpfiter

import (
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// The sizes of the structs in bpf/tables.h.
const (
	groupKeyLen = 56
	tallyLen    = 784
	detailLen   = 2272
	tupleKeyLen = 40
	budgetLen   = 80
)

func decodeGroup(b []byte) (tcpvet.Group, error) {
	if len(b) != groupKeyLen {
		return tcpvet.Group{}, fmt.Errorf("decode group: %d bytes, not %d", len(b), groupKeyLen)
	}
	c := cursor(b)
	var g tcpvet.Group
	g.Holder.Start = c.u64()
	g.Holder.PID = int32(c.u32())
	g.Netns = tcpvet.NetnsID(c.u32())
	g.Local = c.addr().Unmap()
	service := c.addr().Unmap()
	g.Service = netip.AddrPortFrom(service, c.u16())
	g.Role = tcpvet.Role(c.u8())
	if g.Role > tcpvet.Server {
		return g, fmt.Errorf("decode group: role %d is unknown", g.Role)
	}
	return g, nil
}

// decodeTally reads a struct tally. detail is the number of its struct detail, 0
// for none.
func decodeTally(b []byte, t *tcpvet.Tally) (detail uint32, err error) {
	if len(b) != tallyLen {
		return 0, fmt.Errorf("decode tally: %d bytes, not %d", len(b), tallyLen)
	}
	*t = tcpvet.Tally{}
	c := cursor(b)
	t.QueuedBytes = c.u64()
	detail = c.u32()
	t.Mini = c.u32()
	c.u32s(t.States[:])
	c.u32s(t.CloseWait[:])
	t.CloseWaitBorn, t.TimeWaitBorn = c.births(), c.births()
	var idle tcpvet.IdleTally
	c.u32s(idle.KeepaliveOn[:])
	c.u32s(idle.KeepaliveOff[:])
	c.u32s(idle.Unknown[:])
	if idle != (tcpvet.IdleTally{}) {
		t.Idle = &idle
	}
	t.Keepalive = spansOf(&c)
	var e exemplar
	if c.exemplar(&e) {
		t.Oldest = e.as(tcpvet.AgeLastAck)
		if e.Age.Low != e.Age.High {
			t.Oldest.Age.By = tcpvet.AgeLastAckOrData
		}
	}
	if c.exemplar(&e) {
		t.MostIdle = e.as(tcpvet.AgeIdle)
	}
	return detail, nil
}

func spansOf(c *cursor) *tcpvet.Spans {
	var s tcpvet.Spans
	c.u32s(s[:])
	if s == (tcpvet.Spans{}) {
		return nil
	}
	return &s
}

func (c *cursor) births() tcpvet.Births {
	return tcpvet.Births{Last10s: c.u32(), Last60s: c.u32()}
}

func (c *cursor) histogram() *tcpvet.Histogram {
	var h tcpvet.Histogram
	c.u32s(h[:])
	if h == (tcpvet.Histogram{}) {
		return nil
	}
	return &h
}

func (c *cursor) kinds() *[tcpvet.NumCloseWaitKinds]tcpvet.Histogram {
	var k [tcpvet.NumCloseWaitKinds]tcpvet.Histogram
	for i := range k {
		c.u32s(k[i][:])
	}
	if k == ([tcpvet.NumCloseWaitKinds]tcpvet.Histogram{}) {
		return nil
	}
	return &k
}

// exemplar is a struct exemplar.
type exemplar struct {
	tcpvet.Exemplar
	timer  tcpvet.Timer
	queued uint32
}

// exemplar reads the next one; false where none was chosen.
func (c *cursor) exemplar(e *exemplar) bool {
	*e = exemplar{}
	e.Cookie, e.Inode = c.u64(), c.u64()
	local, remote := c.addr(), c.addr()
	lport, rport := c.u16(), c.u16()
	family := c.u8()
	set := c.u8() != 0
	e.timer.Kind, e.timer.Retransmits = tcpvet.TimerKind(c.u8()), c.u8()
	e.Local, e.Remote = endpoint(family, local, lport), endpoint(family, remote, rport)
	e.Age.Low, e.Age.High = c.ms(), c.ms()
	e.timer.Expires = c.ms()
	e.queued = c.u32()
	return set
}

func (e *exemplar) as(by tcpvet.AgeSource) *tcpvet.Exemplar {
	x := e.Exemplar
	x.Age.By = by
	return &x
}

// stall gives the exemplar as a connection that waits for its peer.
func (e *exemplar) stall() *tcpvet.Stall {
	return &tcpvet.Stall{Exemplar: *e.as(tcpvet.AgeLastAck), Timer: e.timer, Queued: e.queued}
}

// decodeDetail reads a struct detail into the tally that it belongs to.
func decodeDetail(b []byte, t *tcpvet.Tally) error {
	if len(b) != detailLen {
		return fmt.Errorf("decode detail: %d bytes, not %d", len(b), detailLen)
	}
	c := cursor(b)
	var q tcpvet.QueueTally
	q.Bytes, q.BlockedBytes = c.u64(), c.u64()
	t.CloseWaitVague = tcpvet.Vague{Total: c.u32(), Probed: c.u32(), Written: c.u32()}
	t.CloseWaitLongest = c.ms()
	t.CloseWaitAge, t.CloseWaitMost = c.kinds(), c.kinds()
	t.FinWait2Quiet = c.histogram()
	var st tcpvet.StallTally
	c.u32s(st.Silent[:])
	c.u32s(st.SilentProbed[:])
	c.u32s(q.Unread[:])
	c.u32s(q.Blocked[:])
	c.u32s(st.Resent[:])
	c.u32s(st.Twice[:])
	for i := range st.Most {
		st.Most[i] = uint8(c.u32())
	}
	st.Probed, st.ProbedTwice = c.u32(), c.u32()
	q.Sockets, q.BlockedSockets = c.u32(), c.u32()
	var e exemplar
	if c.exemplar(&e) {
		st.Longest = e.stall()
	}
	if c.exemplar(&e) {
		st.LongestProbed = e.stall()
	}
	if c.exemplar(&e) {
		q.LongestUnread, q.LongestUnreadOf = e.as(tcpvet.AgeIdle), e.queued
	}
	if c.exemplar(&e) {
		q.LongestBlocked, q.LongestBlockedOf = e.as(tcpvet.AgeLastSent), e.queued
	}
	if st.Probed != 0 || st.Resent != ([tcpvet.NumStates]uint32{}) {
		t.Stalled = &st
	}
	if q.Sockets != 0 || q.BlockedSockets != 0 {
		t.Queued = &q
	}
	return nil
}

func decodeTuple(b []byte) (tcpvet.Tuple, error) {
	if len(b) != tupleKeyLen {
		return tcpvet.Tuple{}, fmt.Errorf("decode tuple: %d bytes, not %d", len(b), tupleKeyLen)
	}
	c := cursor(b)
	var t tcpvet.Tuple
	t.Netns = tcpvet.NetnsID(c.u32())
	t.Local = c.addr().Unmap()
	remote := c.addr().Unmap()
	t.Remote = netip.AddrPortFrom(remote, c.u16())
	return t, nil
}

func decodeBudget(b []byte, v *tcpvet.Budget) error {
	if len(b) != budgetLen {
		return fmt.Errorf("decode budget: %d bytes, not %d", len(b), budgetLen)
	}
	c := cursor(b)
	c.u32s(v.Taken[:])
	v.ReusableTimeWait, v.Reserved = c.u32(), c.u32()
	v.CloseWaitBorn, v.TimeWaitBorn = c.births(), c.births()
	return nil
}
