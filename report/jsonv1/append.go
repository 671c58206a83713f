package jsonv1

import (
	"strconv"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
)

// AppendSocket appends the line of s, without its end. It is what encoding/json
// makes of SocketOf without escapes for HTML, and allocates nothing but what b
// has to grow by.
func (l Lookup) AppendSocket(b []byte, s *tcpvet.Socket, holders bool) []byte {
	b = append(b, `{"schema":"`+SocketSchema+`","netns":`...)
	b = l.appendNetns(b, s.Netns)
	b = append(b, `,"state":"`...)
	b = append(b, s.State.String()...)
	b = append(b, `","local":"`...)
	b = s.Local.AppendTo(b)
	b = append(b, `","remote":"`...)
	b = s.Remote.AppendTo(b)
	b = append(b, '"')
	if s.Interface != 0 {
		b = number(append(b, `,"interface":`...), s.Interface)
	}
	b = append(b, `,"process":`...)
	b = l.appendProcess(b, s.Owner())
	b = append(b, `,"held":"`...)
	b = append(b, held(s, holders)...)
	b = append(b, `","shared_with":[`...)
	first := true
	for _, p := range s.SharedWith {
		if !p.Known() {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = l.appendProcess(b, p)
	}
	b = append(b, `],"container":`...)
	b = l.appendContainer(b, s.Owner())
	b = fact(b, `,"cookie":`, s.Knows(tcpvet.FactCookie), s.Cookie)
	b = fact(b, `,"inode":`, s.Knows(tcpvet.FactInode), s.Inode)
	b = fact(b, `,"uid":`, s.Knows(tcpvet.FactUID), s.UID)
	if s.Knows(tcpvet.FactCgroup) {
		b = number(append(b, `,"cgroup":`...), s.Cgroup)
	}
	b = fact(b, `,"recv_q":`, knowsRecvQ(s), s.RecvQ)
	b = fact(b, `,"send_q":`, knowsSendQ(s), s.SendQ)
	b = append(b, `,"role":"`...)
	b = append(b, s.Role.String()...)
	b = append(b, `","age_ms":`...)
	if age, ok := s.Age(); ok {
		b = number(append(b, `{"low":`...), ms(age.Low))
		b = number(append(b, `,"high":`...), ms(age.High))
		b = append(b, `,"by":"`...)
		b = append(b, age.By...)
		b = append(b, `"}`...)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"keepalive":`...)
	if on, known := s.Keepalive(); known {
		b = strconv.AppendBool(b, on)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"timer":`...)
	if s.Knows(tcpvet.FactTimer) {
		b = append(b, `{"kind":"`...)
		b = append(b, s.Timer.Kind.String()...)
		b = number(append(b, `","expires_ms":`...), ms(s.Timer.Expires))
		b = number(append(b, `,"retransmits":`...), s.Timer.Retransmits)
		b = append(b, '}')
	} else {
		b = append(b, "null"...)
	}
	if tellsMini(s) {
		b = strconv.AppendBool(append(b, `,"mini":`...), s.Mini)
	}
	b = append(b, `,"close_wait_kind":`...)
	if kind := s.CloseWaitKind(); kind != tcpvet.NoCloseWaitKind {
		b = append(b, '"')
		b = append(b, kind.String()...)
		b = append(b, '"')
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"tcp_info":`...)
	if s.Knows(tcpvet.FactInfo) {
		b = appendInfo(b, &s.Info)
	} else {
		b = append(b, "null"...)
	}
	return append(b, '}')
}

func appendInfo(b []byte, i *tcpvet.TCPInfo) []byte {
	b = number(append(b, `{"last_data_sent_ms":`...), ms(i.LastDataSent))
	b = number(append(b, `,"last_data_recv_ms":`...), ms(i.LastDataRecv))
	b = number(append(b, `,"last_ack_recv_ms":`...), ms(i.LastAckRecv))
	b = number(append(b, `,"rtt_us":`...), i.RTT.Microseconds())
	b = number(append(b, `,"rttvar_us":`...), i.RTTVar.Microseconds())
	b = number(append(b, `,"min_rtt_us":`...), i.MinRTT.Microseconds())
	b = number(append(b, `,"rto_us":`...), i.RTO.Microseconds())
	b = number(append(b, `,"unacked":`...), i.Unacked)
	b = number(append(b, `,"lost":`...), i.Lost)
	b = number(append(b, `,"retrans":`...), i.Retrans)
	b = number(append(b, `,"total_retrans":`...), i.TotalRetrans)
	b = number(append(b, `,"backoff":`...), i.Backoff)
	b = number(append(b, `,"probes":`...), i.Probes)
	b = number(append(b, `,"snd_cwnd":`...), i.SndCwnd)
	b = number(append(b, `,"bytes_sent":`...), i.BytesSent)
	b = number(append(b, `,"bytes_acked":`...), i.BytesAcked)
	b = number(append(b, `,"bytes_received":`...), i.BytesReceived)
	b = number(append(b, `,"not_sent_bytes":`...), i.NotSent)
	b = strconv.AppendBool(append(b, `,"timestamps":`...), i.Timestamps)
	b = strconv.AppendBool(append(b, `,"sack":`...), i.SACK)
	b = number(append(b, `,"snd_wscale":`...), i.SndWScale)
	b = number(append(b, `,"rcv_wscale":`...), i.RcvWScale)
	b = number(append(b, `,"snd_mss_bytes":`...), i.SndMSS)
	b = number(append(b, `,"rcv_mss_bytes":`...), i.RcvMSS)
	b = number(append(b, `,"busy_us":`...), i.BusyTime.Microseconds())
	b = number(append(b, `,"rwnd_limited_us":`...), i.RwndLimited.Microseconds())
	b = number(append(b, `,"sndbuf_limited_us":`...), i.SndBufLimited.Microseconds())
	b = number(append(b, `,"delivery_rate_bytes_per_s":`...), i.DeliveryRateBytesS)
	return append(b, '}')
}

func (l Lookup) appendNetns(b []byte, id tcpvet.NetnsID) []byte {
	n, _ := l.Netns(id)
	b = fact(b, `{"inode":`, id != 0, uint64(id))
	b = append(b, `,"names":[`...)
	for i, name := range n.Names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, name)
	}
	return append(b, `]}`...)
}

func (l Lookup) appendProcess(b []byte, p tcpvet.Process) []byte {
	if !p.Known() {
		return append(b, "null"...)
	}
	info, _ := l.Process(p)
	b = number(append(b, `{"pid":`...), p.PID)
	b = appendText(append(b, `,"comm":`...), info.Comm)
	b = number(append(b, `,"start":`...), p.Start)
	if info.Ended {
		b = append(b, `,"ended":true`...)
	}
	return append(b, '}')
}

func (l Lookup) appendContainer(b []byte, p tcpvet.Process) []byte {
	var c *tcpvet.Container
	if p.Known() {
		info, _ := l.Process(p)
		c = info.Container
	}
	return appendContainerOf(b, c)
}

// appendContainerOf appends a container, null for none.
func appendContainerOf(b []byte, c *tcpvet.Container) []byte {
	if c == nil {
		return append(b, "null"...)
	}
	b = appendText(append(b, `{"id":`...), c.ID)
	b = optional(append(b, `,"name":`...), c.Name)
	b = optional(append(b, `,"runtime":`...), c.Runtime)
	b = optional(append(b, `,"pod":`...), c.Pod)
	return append(b, '}')
}

// number appends a number in decimal.
func number[N int32 | int64 | uint8 | uint32 | uint64](b []byte, n N) []byte {
	if n < 0 {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

// fact appends a member that is null where it is not known.
func fact[N uint32 | uint64](b []byte, key string, known bool, n N) []byte {
	b = append(b, key...)
	if !known {
		return append(b, "null"...)
	}
	return number(b, n)
}

// optional appends a string, null for "".
func optional(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendText(b, s)
}

// appendText appends s as a JSON string, escaped as encoding/json does it: bytes
// that are no UTF-8 become U+FFFD, and the two line ends of Unicode that
// JavaScript knows are escaped.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				b = append(b, `\ufffd`...)
			case r == '\u2028' || r == '\u2029':
				b = append(b, `\u202`...)
				b = append(b, digits[r&0xf])
			default:
				b = append(b, s[i:i+size]...)
			}
			i += size
			continue
		case c >= ' ':
			b = append(b, c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, digits[c>>4], digits[c&0xf])
		}
		i++
	}
	return append(b, '"')
}
