package jsonv1

import (
	"bytes"
	"encoding/json"
	"math"
	"time"

	"github.com/tcpvet/tcpvet"
)

// socketStart is how AppendSocket begins every line.
const socketStart = `{"schema":"` + SocketSchema + `",`

// IsSocket tells whether a line begins as AppendSocket begins it. A line that
// does not may be a socket's none the less: JSON leaves the order free.
func IsSocket(line []byte) bool { return bytes.HasPrefix(line, []byte(socketStart)) }

// DecodeSocket reads a line of tcpvet/socket/v1 into s, as Socket.Socket does.
// Lines as AppendSocket writes them are read many times faster than by
// encoding/json, which reads all others.
func DecodeSocket(line []byte, s *tcpvet.Socket) error {
	c := cursor{rest: line}
	if c.socket(s) {
		return nil
	}
	var j Socket
	if err := json.Unmarshal(line, &j); err != nil {
		return err
	}
	return j.Socket(s)
}

// socket reads a whole line. The members that only people read, and those that
// follow from others, are checked for being JSON and passed over.
func (c *cursor) socket(s *tcpvet.Socket) bool {
	*s = tcpvet.Socket{SharedWith: s.SharedWith[:0]}
	var holder bool
	ok := c.lit(socketStart+`"netns":{"inode":`) && c.netns(s) &&
		c.lit(`,"names":[]},"state":"`) && c.state(s) &&
		c.lit(`,"local":"`) && c.endpoint(&s.Local) &&
		c.lit(`,"remote":"`) && c.endpoint(&s.Remote) &&
		c.interfaceIndex(s) &&
		c.lit(`,"process":`) && c.holder(s, &holder) &&
		c.lit(`,"held":"`) && c.held(s, holder) &&
		c.lit(`,"shared_with":[`) && c.shared(s) &&
		c.lit(`,"container":null,"cookie":`) && unsigned(c, s, tcpvet.FactCookie, &s.Cookie) &&
		c.lit(`,"inode":`) && unsigned(c, s, tcpvet.FactInode, &s.Inode) &&
		c.lit(`,"uid":`) && unsigned(c, s, tcpvet.FactUID, &s.UID) &&
		(!c.lit(`,"cgroup":`) || c.some() && unsigned(c, s, tcpvet.FactCgroup, &s.Cgroup))
	if !ok {
		return false
	}
	recv, send := tcpvet.FactQueues, tcpvet.FactQueues
	if s.State == tcpvet.Listen {
		recv, send = tcpvet.FactBacklog, tcpvet.FactBacklogMax
	}
	ok = c.lit(`,"recv_q":`) && unsigned(c, s, recv, &s.RecvQ) &&
		c.lit(`,"send_q":`) && unsigned(c, s, send, &s.SendQ) &&
		c.lit(`,"role":"`) && c.role(s) &&
		c.lit(`,"age_ms":`) && c.age() &&
		c.lit(`,"keepalive":`) && (c.null() || c.boolean(new(bool))) &&
		c.lit(`,"timer":`) && c.timer(s) && c.mini(s) &&
		c.lit(`,"close_wait_kind":`) && (c.null() || c.lit(`"`) && c.word() != nil) &&
		c.lit(`,"tcp_info":`) && c.info(s)
	return ok && string(c.rest) == "}"
}

// unsigned reads a number or null, and adds the fact where it is a number.
func unsigned[N uint32 | uint64](c *cursor, s *tcpvet.Socket, fact tcpvet.Facts, to *N) bool {
	if c.null() {
		return true
	}
	n, ok := c.uint(uint64(^N(0)))
	*to = N(n)
	s.Known |= fact
	return ok
}

func (c *cursor) netns(s *tcpvet.Socket) bool {
	if c.null() {
		return true
	}
	n, ok := c.uint(math.MaxUint64)
	s.Netns = tcpvet.NetnsID(n)
	return ok
}

func (c *cursor) state(s *tcpvet.Socket) bool {
	w := c.word()
	for _, state := range tcpvet.States {
		if string(w) == state.String() {
			s.State = state
			return true
		}
	}
	return false
}

func (c *cursor) interfaceIndex(s *tcpvet.Socket) bool {
	if !c.lit(`,"interface":`) {
		return true
	}
	n, ok := c.uint(math.MaxUint32)
	s.Interface = uint32(n)
	return ok
}

func (c *cursor) process(p *tcpvet.Process) bool {
	if !c.lit(`{"pid":`) {
		return false
	}
	pid, ok := c.uint(math.MaxInt32)
	if !ok || pid == 0 || !c.lit(`,"comm":"`) {
		return false
	}
	if comm, _ := c.text(); comm == nil || !c.lit(`,"start":`) {
		return false
	}
	start, ok := c.uint(math.MaxUint64)
	*p = tcpvet.Process{PID: int32(pid), Start: start}
	return ok && c.lit("}")
}

func (c *cursor) holder(s *tcpvet.Socket, known *bool) bool {
	if c.null() {
		return true
	}
	*known = true
	return c.process(&s.Holder)
}

func (c *cursor) held(s *tcpvet.Socket, holder bool) bool {
	w := c.word()
	if !holder && (string(w) == heldUnseen || string(w) == heldUnknown) {
		s.Holder = tcpvet.Unseen
	}
	if string(w) == heldBefore {
		s.Holder, s.Former = tcpvet.Nobody, s.Holder
		if !holder {
			s.Former = tcpvet.Several
		}
	}
	return w != nil
}

func (c *cursor) shared(s *tcpvet.Socket) bool {
	if c.lit("]") {
		return true
	}
	for {
		var p tcpvet.Process
		if !c.process(&p) {
			return false
		}
		s.SharedWith = append(s.SharedWith, p)
		if c.lit("]") {
			return true
		}
		if !c.lit(",") {
			return false
		}
	}
}

func (c *cursor) role(s *tcpvet.Socket) bool {
	w := c.word()
	switch string(w) {
	case tcpvet.Client.String():
		s.Role = tcpvet.Client
	case tcpvet.Server.String():
		s.Role = tcpvet.Server
	}
	return w != nil
}

func (c *cursor) age() bool {
	if c.null() {
		return true
	}
	var d time.Duration
	return c.lit(`{"low":`) && c.duration(&d, time.Millisecond) && c.lit(`,"high":`) && c.duration(&d, time.Millisecond) &&
		c.lit(`,"by":"`) && c.word() != nil && c.lit("}")
}

func (c *cursor) timer(s *tcpvet.Socket) bool {
	if c.null() {
		return true
	}
	if !c.lit(`{"kind":"`) {
		return false
	}
	w := c.word()
	kind := tcpvet.TimerNone
	for string(w) != kind.String() {
		if kind++; kind > tcpvet.TimerPersist {
			return false
		}
	}
	s.Known |= tcpvet.FactTimer | tcpvet.FactMini
	s.Timer.Kind = kind
	s.Mini = kind == tcpvet.TimerTimeWait
	return c.lit(`,"expires_ms":`) && c.duration(&s.Timer.Expires, time.Millisecond) &&
		c.lit(`,"retransmits":`) && c.uint8(&s.Timer.Retransmits) && c.lit("}")
}

func (c *cursor) mini(s *tcpvet.Socket) bool {
	if !c.lit(`,"mini":`) {
		return true
	}
	s.Known |= tcpvet.FactMini
	return c.boolean(&s.Mini)
}

func (c *cursor) info(s *tcpvet.Socket) bool {
	if c.null() {
		return true
	}
	s.Known |= tcpvet.FactInfo
	i := &s.Info
	const us = time.Microsecond
	return c.lit(`{"last_data_sent_ms":`) && c.duration(&i.LastDataSent, time.Millisecond) &&
		c.lit(`,"last_data_recv_ms":`) && c.duration(&i.LastDataRecv, time.Millisecond) &&
		c.lit(`,"last_ack_recv_ms":`) && c.duration(&i.LastAckRecv, time.Millisecond) &&
		c.lit(`,"rtt_us":`) && c.duration(&i.RTT, us) &&
		c.lit(`,"rttvar_us":`) && c.duration(&i.RTTVar, us) &&
		c.lit(`,"min_rtt_us":`) && c.duration(&i.MinRTT, us) &&
		c.lit(`,"rto_us":`) && c.duration(&i.RTO, us) &&
		c.lit(`,"unacked":`) && c.uint32(&i.Unacked) &&
		c.lit(`,"lost":`) && c.uint32(&i.Lost) &&
		c.lit(`,"retrans":`) && c.uint32(&i.Retrans) &&
		c.lit(`,"total_retrans":`) && c.uint32(&i.TotalRetrans) &&
		c.lit(`,"backoff":`) && c.uint8(&i.Backoff) &&
		c.lit(`,"probes":`) && c.uint8(&i.Probes) &&
		c.lit(`,"snd_cwnd":`) && c.uint32(&i.SndCwnd) &&
		c.lit(`,"bytes_sent":`) && c.uint64(&i.BytesSent) &&
		c.lit(`,"bytes_acked":`) && c.uint64(&i.BytesAcked) &&
		c.lit(`,"bytes_received":`) && c.uint64(&i.BytesReceived) &&
		c.lit(`,"not_sent_bytes":`) && c.uint32(&i.NotSent) &&
		c.lit(`,"timestamps":`) && c.boolean(&i.Timestamps) &&
		c.lit(`,"sack":`) && c.boolean(&i.SACK) &&
		c.lit(`,"snd_wscale":`) && c.uint8(&i.SndWScale) &&
		c.lit(`,"rcv_wscale":`) && c.uint8(&i.RcvWScale) &&
		c.lit(`,"snd_mss_bytes":`) && c.uint32(&i.SndMSS) &&
		c.lit(`,"rcv_mss_bytes":`) && c.uint32(&i.RcvMSS) &&
		c.lit(`,"busy_us":`) && c.duration(&i.BusyTime, us) &&
		c.lit(`,"rwnd_limited_us":`) && c.duration(&i.RwndLimited, us) &&
		c.lit(`,"sndbuf_limited_us":`) && c.duration(&i.SndBufLimited, us) &&
		c.lit(`,"delivery_rate_bytes_per_s":`) && c.uint64(&i.DeliveryRateBytesS) && c.lit("}")
}
