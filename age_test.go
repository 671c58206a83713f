package tcpvet_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

const known = tcpvet.FactInfo | tcpvet.FactTimer | tcpvet.FactQueues | tcpvet.FactInode

// What a bare FIN, a keepalive answer and a late write do to the times of
// tcp_info was measured on Linux 6.18: a FIN moves last_ack_recv alone.
func TestCloseWaitAge(t *testing.T) {
	for _, tt := range []struct {
		name            string
		sent, recv, ack time.Duration
		timer           tcpvet.TimerKind
		low, high       time.Duration
		by              tcpvet.AgeSource
	}{
		{"idle an hour, then closed by the peer a second ago", time.Hour, time.Hour - 50*time.Millisecond, time.Second, tcpvet.TimerNone,
			time.Second, time.Second, tcpvet.AgeLastAck},
		{"a keepalive probe was answered 9 s ago", time.Hour, 50 * time.Minute, 9 * time.Second, tcpvet.TimerKeepalive,
			9 * time.Second, 50 * time.Minute, tcpvet.AgeLastAckOrData},
		{"written 10 s ago, after the FIN or before", 10 * time.Second, time.Hour, 9 * time.Second, tcpvet.TimerNone,
			9 * time.Second, time.Hour, tcpvet.AgeLastAckOrData},
		{"the FIN came with the last data", time.Minute, 20 * time.Second, 20 * time.Second, tcpvet.TimerKeepalive,
			20 * time.Second, 20 * time.Second, tcpvet.AgeLastAck},
	} {
		s := tcpvet.Socket{Known: known, State: tcpvet.CloseWait, Timer: tcpvet.Timer{Kind: tt.timer},
			Info: tcpvet.TCPInfo{LastDataSent: tt.sent, LastDataRecv: tt.recv, LastAckRecv: tt.ack}}
		got, ok := s.Age()
		if want := (tcpvet.Age{Low: tt.low, High: tt.high, By: tt.by}); !ok || got != want {
			t.Errorf("%s: Age() = %v, %v; want %v", tt.name, got, ok, want)
		}
		s.Known &^= tcpvet.FactInfo
		if got, ok := s.Age(); ok {
			t.Errorf("%s: Age() = %v without tcp_info", tt.name, got)
		}
	}
}

func TestTimeWaitAge(t *testing.T) {
	s := tcpvet.Socket{Known: known, State: tcpvet.TimeWait, Mini: true, Timer: tcpvet.Timer{Kind: tcpvet.TimerTimeWait, Expires: 42 * time.Second}}
	if age, ok := s.Age(); !ok || age.Low != 18*time.Second || age.High != 18*time.Second || age.By != tcpvet.AgeTimer {
		t.Errorf("42 s to go of 60: Age() = %v, %v", age, ok)
	}
	s.State = tcpvet.FinWait2 // its timer is tcp_fin_timeout's, not 60 s
	if age, ok := s.Age(); ok {
		t.Errorf("FIN-WAIT-2: Age() = %v", age)
	}
}

func TestCloseWaitKind(t *testing.T) {
	for queue, want := range map[uint32]tcpvet.CloseWaitKind{0: tcpvet.ReadNotClosed, 1: tcpvet.NeverRead, 2: tcpvet.Undrained, 1001: tcpvet.Undrained} {
		s := tcpvet.Socket{Known: known, State: tcpvet.CloseWait, RecvQ: queue}
		if got := s.CloseWaitKind(); got != want {
			t.Errorf("Recv-Q %d is %s, want %s", queue, got, want)
		}
		s.Known = 0
		if got := s.CloseWaitKind(); got != tcpvet.NoCloseWaitKind {
			t.Errorf("an unknown queue is %s", got)
		}
	}
	if got := (&tcpvet.Socket{Known: known, State: tcpvet.Established, RecvQ: 1}).CloseWaitKind(); got != tcpvet.NoCloseWaitKind {
		t.Errorf("ESTAB is %s", got)
	}
}

func TestKeepalive(t *testing.T) {
	for _, tt := range []struct {
		state     tcpvet.State
		timer     tcpvet.TimerKind
		inode     uint64
		on, known bool
	}{
		{tcpvet.Established, tcpvet.TimerKeepalive, 7, true, true},
		{tcpvet.Established, tcpvet.TimerNone, 7, false, true},
		{tcpvet.Established, tcpvet.TimerOn, 7, false, false}, // the retransmission hides it
		{tcpvet.CloseWait, tcpvet.TimerKeepalive, 7, true, true},
		{tcpvet.FinWait2, tcpvet.TimerKeepalive, 0, false, false}, // an orphan's timeout uses that timer
		{tcpvet.TimeWait, tcpvet.TimerTimeWait, 0, false, false},
	} {
		s := tcpvet.Socket{Known: known, State: tt.state, Timer: tcpvet.Timer{Kind: tt.timer}, Inode: tt.inode}
		if on, ok := s.Keepalive(); on != tt.on || ok != tt.known {
			t.Errorf("%s with timer %s: on %v, known %v; want %v, %v", tt.state, tt.timer, on, ok, tt.on, tt.known)
		}
	}
}
