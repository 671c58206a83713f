package sourcetest

import (
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// still tells whether a socket has neither sent nor received anything between two
// answers of the kernel. What counts probes and retransmissions, and what is estimated
// by their answers, moves to and fro otherwise: a window probe is counted until its
// answer comes.
func still(b, a told) bool { return b.segments == a.segments }

// info compares tcp_info field by field. One that only grows may be anything between
// the two answers of the kernel; of one that moves to and fro they say nothing unless
// the socket was still.
func (l *look) info(w *staged, got *tcpvet.TCPInfo, before, after told) {
	b, a := before.info, after.info
	number := func(what string, got, b, a uint64) {
		if got < min(a, b) || got > max(a, b) {
			l.errorf("%s: %s is %d, and the kernel says %d and %d", w.name, what, got, b, a)
		}
	}
	span := func(what string, got, b, a time.Duration) {
		slack := time.Duration(0)
		if strings.HasPrefix(what, "last") {
			slack = 20 * time.Millisecond
			if since := b + l.to.Sub(l.from); a+slack < since { // it happened again, before or after the look
				b, a = 0, since
			}
		} else if !l.precise() {
			slack = time.Millisecond // to which ss cuts
		}
		if got < min(a, b)-slack || got > max(a, b)+slack {
			l.errorf("%s: %s is %v, and the kernel says %v and %v", w.name, what, got, b, a)
		}
	}
	truth := func(what string, got, want bool) {
		if got != want {
			l.errorf("%s: %s is %v", w.name, what, got)
		}
	}
	span("last data sent", got.LastDataSent, b.LastDataSent, a.LastDataSent)
	span("last data received", got.LastDataRecv, b.LastDataRecv, a.LastDataRecv)
	span("last ACK received", got.LastAckRecv, b.LastAckRecv, a.LastAckRecv)
	span("busy", got.BusyTime, b.BusyTime, a.BusyTime)
	span("limited by the peer's window", got.RwndLimited, b.RwndLimited, a.RwndLimited)
	span("limited by the send buffer", got.SndBufLimited, b.SndBufLimited, a.SndBufLimited)
	number("total retrans", uint64(got.TotalRetrans), uint64(b.TotalRetrans), uint64(a.TotalRetrans))
	number("bytes sent", got.BytesSent, b.BytesSent, a.BytesSent)
	number("bytes acknowledged", got.BytesAcked, b.BytesAcked, a.BytesAcked)
	number("bytes received", got.BytesReceived, b.BytesReceived, a.BytesReceived)
	number("MSS", uint64(got.SndMSS), uint64(b.SndMSS), uint64(a.SndMSS))
	number("MSS received", uint64(got.RcvMSS), uint64(b.RcvMSS), uint64(a.RcvMSS))
	number("window scale", uint64(got.SndWScale), uint64(b.SndWScale), uint64(a.SndWScale))
	number("window scale received", uint64(got.RcvWScale), uint64(b.RcvWScale), uint64(a.RcvWScale))
	truth("timestamps", got.Timestamps, a.Timestamps)
	truth("SACK", got.SACK, a.SACK)
	if !still(before, after) {
		return
	}
	span("RTT", got.RTT, b.RTT, a.RTT)
	if l.precise() || got.RTT > 0 { // without an RTT ss prints neither
		span("RTT variance", got.RTTVar, b.RTTVar, a.RTTVar)
	}
	span("least RTT", got.MinRTT, b.MinRTT, a.MinRTT)
	span("RTO", got.RTO, b.RTO, a.RTO)
	number("unacked", uint64(got.Unacked), uint64(b.Unacked), uint64(a.Unacked))
	number("lost", uint64(got.Lost), uint64(b.Lost), uint64(a.Lost))
	number("retrans", uint64(got.Retrans), uint64(b.Retrans), uint64(a.Retrans))
	number("backoff", uint64(got.Backoff), uint64(b.Backoff), uint64(a.Backoff))
	number("probes", uint64(got.Probes), uint64(b.Probes), uint64(a.Probes))
	number("congestion window", uint64(got.SndCwnd), uint64(b.SndCwnd), uint64(a.SndCwnd))
	number("bytes not sent", uint64(got.NotSent), uint64(b.NotSent), uint64(a.NotSent))
	number("delivery rate", got.DeliveryRateBytesS, b.DeliveryRateBytesS, a.DeliveryRateBytesS)
}
