package tcpvet

import "time"

// TimeWaitLength is how long Linux keeps a socket in TIME-WAIT
// (TCP_TIMEWAIT_LEN in include/net/tcp.h, compiled in).
const TimeWaitLength = 60 * time.Second

// AgeSource says how an age is known.
type AgeSource string

// The ways to know how long a socket has been in its state, or idle.
const (
	AgeLastAck       AgeSource = "last-ack"         // the time of the last segment received: the FIN
	AgeLastAckOrData AgeSource = "last-ack-or-data" // between that and the last data received
	AgeTimer         AgeSource = "timewait-timer"   // 60 s less the rest of the timer
	AgeIdle          AgeSource = "last-data"        // since data last went either way
	AgeLastSent      AgeSource = "last-data-sent"   // since data last went out
)

// Age is how long a socket has been in its state (ESTAB: idle). The truth lies
// between Low and High.
type Age struct {
	Low, High time.Duration
	By        AgeSource
}

// Age tells how long a socket in CLOSE-WAIT or TIME-WAIT has been in its state,
// and how long one in ESTAB has been idle. ok is false for other states and
// where the source did not say.
//
// A bare FIN moves last_ack_recv and not last_data_recv, so the former dates a
// CLOSE-WAIT, unless something else moved it since: the answer to a keepalive
// probe or to data that the process wrote after the FIN. Data received after
// the last that was sent proves that nothing was written since the FIN.
func (s *Socket) Age() (age Age, ok bool) {
	switch s.State {
	case CloseWait:
		if !s.Knows(FactInfo) {
			return Age{}, false
		}
		i := &s.Info
		exact := s.Knows(FactTimer) && s.Timer.Kind == TimerNone && i.LastDataRecv <= i.LastDataSent
		if exact || i.LastDataRecv <= i.LastAckRecv {
			return Age{i.LastAckRecv, i.LastAckRecv, AgeLastAck}, true
		}
		return Age{i.LastAckRecv, i.LastDataRecv, AgeLastAckOrData}, true
	case TimeWait:
		if !s.Knows(FactTimer) || s.Timer.Kind != TimerTimeWait {
			return Age{}, false
		}
		d := max(TimeWaitLength-s.Timer.Expires, 0)
		return Age{d, d, AgeTimer}, true
	case Established:
		if !s.Knows(FactInfo) {
			return Age{}, false
		}
		d := min(s.Info.LastDataSent, s.Info.LastDataRecv)
		return Age{d, d, AgeIdle}, true
	}
	return Age{}, false
}

// CloseWaitKind says what the process did with a connection that its peer has
// closed, as the receive queue alone tells it.
type CloseWaitKind uint8

// The kinds.
const (
	NoCloseWaitKind CloseWaitKind = iota
	NeverRead                     // Recv-Q 1: the FIN is queued and nobody has read since
	ReadNotClosed                 // Recv-Q 0: the end was read, and close() did not follow
	Undrained                     // Recv-Q n+1: n bytes and the FIN are unread

	NumCloseWaitKinds = 4
)

// String gives the kind's word in the JSON contract, "" for none.
func (k CloseWaitKind) String() string {
	return [NumCloseWaitKinds]string{"", "never-read", "read-not-closed", "undrained"}[k]
}

// CloseWaitKind tells the kind of a socket in CLOSE-WAIT, NoCloseWaitKind for
// any other or where the queues are not known. sock_diag and /proc/net/tcp
// count an unread FIN as one byte.
func (s *Socket) CloseWaitKind() CloseWaitKind {
	switch {
	case s.State != CloseWait || !s.Knows(FactQueues):
		return NoCloseWaitKind
	case s.RecvQ == 0:
		return ReadNotClosed
	case s.RecvQ == 1:
		return NeverRead
	}
	return Undrained
}

// Keepalive tells whether SO_KEEPALIVE is on; known is false where the timers
// do not tell: the timer shown is the nearest one, so a retransmission hides it.
func (s *Socket) Keepalive() (on, known bool) {
	if !s.Knows(FactTimer) || s.State != Established && s.State != CloseWait && s.State != FinWait2 {
		return false, false
	}
	switch s.Timer.Kind {
	case TimerKeepalive:
		// A FIN-WAIT-2 that nobody holds waits for its end by the same timer.
		held := s.State != FinWait2 || s.Knows(FactInode) && s.Inode != 0
		return held, held
	case TimerNone:
		return false, s.State != FinWait2
	}
	return false, false
}
