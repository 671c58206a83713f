package jsonv1

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Socket is a line of tcpvet/socket/v1: of ls, and of a snapshot.
type Socket struct {
	Schema        string     `json:"schema"`
	Netns         Netns      `json:"netns"`
	State         string     `json:"state"`
	Local         string     `json:"local"`
	Remote        string     `json:"remote"`
	Interface     uint32     `json:"interface,omitempty"` // index, where it is bound to one
	Process       *Process   `json:"process"`
	Held          string     `json:"held"` // by-process, nobody, unseen, unknown, remembered
	SharedWith    []Process  `json:"shared_with"`
	Container     *Container `json:"container"`
	Cookie        *uint64    `json:"cookie"`
	Inode         *uint64    `json:"inode"`
	UID           *uint32    `json:"uid"`
	Cgroup        *uint64    `json:"cgroup,omitempty"`
	RecvQ         *uint32    `json:"recv_q"`
	SendQ         *uint32    `json:"send_q"`
	Role          string     `json:"role"`
	Age           *Age       `json:"age_ms"`
	Keepalive     *bool      `json:"keepalive"`
	Timer         *Timer     `json:"timer"`
	Mini          *bool      `json:"mini,omitempty"` // a mini-socket, where the timer does not tell
	CloseWaitKind *string    `json:"close_wait_kind"`
	TCPInfo       *TCPInfo   `json:"tcp_info"`
}

// Age is how long a socket has been in its state, in milliseconds.
type Age struct {
	Low  int64  `json:"low"`
	High int64  `json:"high"`
	By   string `json:"by"`
}

// Timer is the running timer.
type Timer struct {
	Kind        string `json:"kind"`
	ExpiresMS   int64  `json:"expires_ms"`
	Retransmits uint8  `json:"retransmits"`
}

// TCPInfo is what the kernel's struct tcp_info says.
type TCPInfo struct {
	LastDataSentMS    int64  `json:"last_data_sent_ms"`
	LastDataRecvMS    int64  `json:"last_data_recv_ms"`
	LastAckRecvMS     int64  `json:"last_ack_recv_ms"`
	RTTUS             int64  `json:"rtt_us"`
	RTTVarUS          int64  `json:"rttvar_us"`
	MinRTTUS          int64  `json:"min_rtt_us"`
	RTOUS             int64  `json:"rto_us"`
	Unacked           uint32 `json:"unacked"`
	Lost              uint32 `json:"lost"`
	Retrans           uint32 `json:"retrans"`
	TotalRetrans      uint32 `json:"total_retrans"`
	Backoff           uint8  `json:"backoff"`
	Probes            uint8  `json:"probes"`
	SndCwnd           uint32 `json:"snd_cwnd"`
	BytesSent         uint64 `json:"bytes_sent"`
	BytesAcked        uint64 `json:"bytes_acked"`
	BytesReceived     uint64 `json:"bytes_received"`
	NotSentBytes      uint32 `json:"not_sent_bytes"`
	Timestamps        bool   `json:"timestamps"`
	SACK              bool   `json:"sack"`
	SndWScale         uint8  `json:"snd_wscale"`
	RcvWScale         uint8  `json:"rcv_wscale"`
	SndMSSBytes       uint32 `json:"snd_mss_bytes"`
	RcvMSSBytes       uint32 `json:"rcv_mss_bytes"`
	BusyUS            int64  `json:"busy_us"`
	RwndLimitedUS     int64  `json:"rwnd_limited_us"`
	SndBufLimitedUS   int64  `json:"sndbuf_limited_us"`
	DeliveryBytesPerS uint64 `json:"delivery_rate_bytes_per_s"`
}

// The words of Socket.Held.
const (
	heldByProcess = "by-process"
	heldByNobody  = "nobody"
	heldUnseen    = "unseen"
	heldUnknown   = "unknown"
	heldBefore    = "remembered" // by nobody any more: process is who closed it
)

// SocketOf gives the shape of s. holders tells whether the source looked for
// holders at all.
func (l Lookup) SocketOf(s *tcpvet.Socket, holders bool) Socket {
	out := Socket{
		Schema: SocketSchema, Netns: l.NetnsOf(s.Netns), State: s.State.String(),
		Local: s.Local.String(), Remote: s.Remote.String(), Interface: s.Interface,
		Process: l.ProcessOf(s.Owner()), Held: held(s, holders),
		SharedWith: l.ProcessesOf(s.SharedWith), Container: l.ContainerOf(s.Owner()),
		Role: s.Role.String(), CloseWaitKind: text(s.CloseWaitKind().String()),
	}
	if s.Knows(tcpvet.FactCookie) {
		out.Cookie = &s.Cookie
	}
	if s.Knows(tcpvet.FactInode) {
		out.Inode = &s.Inode
	}
	if s.Knows(tcpvet.FactUID) {
		out.UID = &s.UID
	}
	if s.Knows(tcpvet.FactCgroup) {
		out.Cgroup = &s.Cgroup
	}
	if knowsRecvQ(s) {
		out.RecvQ = &s.RecvQ
	}
	if knowsSendQ(s) {
		out.SendQ = &s.SendQ
	}
	if age, ok := s.Age(); ok {
		out.Age = &Age{Low: ms(age.Low), High: ms(age.High), By: string(age.By)}
	}
	if on, known := s.Keepalive(); known {
		out.Keepalive = &on
	}
	if s.Knows(tcpvet.FactTimer) {
		out.Timer = &Timer{Kind: s.Timer.Kind.String(), ExpiresMS: ms(s.Timer.Expires), Retransmits: s.Timer.Retransmits}
	}
	if tellsMini(s) {
		out.Mini = &s.Mini
	}
	if s.Knows(tcpvet.FactInfo) {
		out.TCPInfo = infoOf(&s.Info)
	}
	return out
}

func knowsRecvQ(s *tcpvet.Socket) bool { return s.Known&(tcpvet.FactQueues|tcpvet.FactBacklog) != 0 }
func knowsSendQ(s *tcpvet.Socket) bool { return s.Known&(tcpvet.FactQueues|tcpvet.FactBacklogMax) != 0 }

// tellsMini tells whether a line has to say what is known of FactMini, since
// its timer does not: a mini-socket is one whose timer is that of TIME-WAIT.
func tellsMini(s *tcpvet.Socket) bool {
	if !s.Knows(tcpvet.FactMini) {
		return false
	}
	return !s.Knows(tcpvet.FactTimer) || s.Mini != (s.Timer.Kind == tcpvet.TimerTimeWait)
}

func held(s *tcpvet.Socket, holders bool) string {
	switch {
	case s.Holder.Known():
		return heldByProcess
	case s.Owner() != s.Holder:
		return heldBefore
	case s.Holder == tcpvet.Nobody:
		return heldByNobody
	case holders && s.Knows(tcpvet.FactInode): // which tells nobody from unseen
		return heldUnseen
	}
	return heldUnknown
}

// Socket gives the vocabulary's value of a line. The processes are named by
// PID and start time alone.
func (j *Socket) Socket(s *tcpvet.Socket) error {
	*s = tcpvet.Socket{SharedWith: s.SharedWith[:0]}
	var err error
	if s.State, err = tcpvet.ParseState(j.State); err != nil {
		return err
	}
	if s.Local, err = netip.ParseAddrPort(j.Local); err != nil {
		return fmt.Errorf("parse local endpoint: %w", err)
	}
	if s.Remote, err = netip.ParseAddrPort(j.Remote); err != nil {
		return fmt.Errorf("parse remote endpoint: %w", err)
	}
	if j.Netns.Inode != nil {
		s.Netns = tcpvet.NetnsID(*j.Netns.Inode)
	}
	s.Interface = j.Interface
	switch {
	case j.Process != nil:
		if j.Process.PID <= 0 {
			return fmt.Errorf("parse process ID %d: expected one above 0", j.Process.PID)
		}
		p := tcpvet.Process{PID: j.Process.PID, Start: j.Process.Start}
		if j.Held == heldBefore {
			s.Former = p
		} else {
			s.Holder = p
		}
	case j.Held == heldBefore:
		s.Former = tcpvet.Several
	case j.Held == heldUnseen || j.Held == heldUnknown:
		s.Holder = tcpvet.Unseen
	}
	for _, p := range j.SharedWith {
		if p.PID <= 0 {
			return fmt.Errorf("parse process ID %d: expected one above 0", p.PID)
		}
		s.SharedWith = append(s.SharedWith, tcpvet.Process{PID: p.PID, Start: p.Start})
	}
	known(s, tcpvet.FactCookie, j.Cookie, &s.Cookie)
	known(s, tcpvet.FactInode, j.Inode, &s.Inode)
	known(s, tcpvet.FactUID, j.UID, &s.UID)
	known(s, tcpvet.FactCgroup, j.Cgroup, &s.Cgroup)
	recv, send := tcpvet.FactQueues, tcpvet.FactQueues
	if s.State == tcpvet.Listen {
		recv, send = tcpvet.FactBacklog, tcpvet.FactBacklogMax
	}
	known(s, recv, j.RecvQ, &s.RecvQ)
	known(s, send, j.SendQ, &s.SendQ)
	switch j.Role {
	case "client":
		s.Role = tcpvet.Client
	case "server":
		s.Role = tcpvet.Server
	}
	if j.Timer != nil {
		kind, ok := timerKind(j.Timer.Kind)
		if !ok {
			return fmt.Errorf("parse timer kind %q: expected off, on, keepalive, timewait or persist", j.Timer.Kind)
		}
		s.Known |= tcpvet.FactTimer | tcpvet.FactMini
		s.Timer = tcpvet.Timer{Kind: kind, Expires: msec(j.Timer.ExpiresMS), Retransmits: j.Timer.Retransmits}
		s.Mini = kind == tcpvet.TimerTimeWait
	}
	if j.Mini != nil {
		s.Known |= tcpvet.FactMini
		s.Mini = *j.Mini
	}
	if j.TCPInfo != nil {
		s.Known |= tcpvet.FactInfo
		s.Info = j.TCPInfo.info()
	}
	return nil
}

func known[T any](s *tcpvet.Socket, fact tcpvet.Facts, from, to *T) {
	if from != nil {
		*to = *from
		s.Known |= fact
	}
}

func timerKind(word string) (tcpvet.TimerKind, bool) {
	for k := tcpvet.TimerNone; k <= tcpvet.TimerPersist; k++ {
		if k.String() == word {
			return k, true
		}
	}
	return 0, false
}

// span gives n units, within what a duration that is told can be.
func span(n int64, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(unit))) * unit
}

func msec(n int64) time.Duration { return span(n, time.Millisecond) }
func usec(n int64) time.Duration { return span(n, time.Microsecond) }

func infoOf(i *tcpvet.TCPInfo) *TCPInfo {
	return &TCPInfo{
		LastDataSentMS: ms(i.LastDataSent), LastDataRecvMS: ms(i.LastDataRecv), LastAckRecvMS: ms(i.LastAckRecv),
		RTTUS: i.RTT.Microseconds(), RTTVarUS: i.RTTVar.Microseconds(), MinRTTUS: i.MinRTT.Microseconds(), RTOUS: i.RTO.Microseconds(),
		Unacked: i.Unacked, Lost: i.Lost, Retrans: i.Retrans, TotalRetrans: i.TotalRetrans, Backoff: i.Backoff, Probes: i.Probes,
		SndCwnd: i.SndCwnd, BytesSent: i.BytesSent, BytesAcked: i.BytesAcked, BytesReceived: i.BytesReceived, NotSentBytes: i.NotSent,
		Timestamps: i.Timestamps, SACK: i.SACK, SndWScale: i.SndWScale, RcvWScale: i.RcvWScale, SndMSSBytes: i.SndMSS, RcvMSSBytes: i.RcvMSS,
		BusyUS: i.BusyTime.Microseconds(), RwndLimitedUS: i.RwndLimited.Microseconds(), SndBufLimitedUS: i.SndBufLimited.Microseconds(),
		DeliveryBytesPerS: i.DeliveryRateBytesS,
	}
}

func (j *TCPInfo) info() tcpvet.TCPInfo {
	return tcpvet.TCPInfo{
		LastDataSent: msec(j.LastDataSentMS), LastDataRecv: msec(j.LastDataRecvMS), LastAckRecv: msec(j.LastAckRecvMS),
		RTT: usec(j.RTTUS), RTTVar: usec(j.RTTVarUS), MinRTT: usec(j.MinRTTUS), RTO: usec(j.RTOUS),
		Unacked: j.Unacked, Lost: j.Lost, Retrans: j.Retrans, TotalRetrans: j.TotalRetrans, Backoff: j.Backoff, Probes: j.Probes,
		SndCwnd: j.SndCwnd, BytesSent: j.BytesSent, BytesAcked: j.BytesAcked, BytesReceived: j.BytesReceived, NotSent: j.NotSentBytes,
		Timestamps: j.Timestamps, SACK: j.SACK, SndWScale: j.SndWScale, RcvWScale: j.RcvWScale, SndMSS: j.SndMSSBytes, RcvMSS: j.RcvMSSBytes,
		BusyTime: usec(j.BusyUS), RwndLimited: usec(j.RwndLimitedUS), SndBufLimited: usec(j.SndBufLimitedUS),
		DeliveryRateBytesS: j.DeliveryBytesPerS,
	}
}
