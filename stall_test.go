package tcpvet_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

const told = tcpvet.FactQueues | tcpvet.FactTimer | tcpvet.FactInfo

func waiting(state tcpvet.State, kind tcpvet.TimerKind, resent uint8, silent time.Duration) *tcpvet.Socket {
	return &tcpvet.Socket{
		Known: told, State: state, Timer: tcpvet.Timer{Kind: kind, Expires: 30 * time.Second, Retransmits: resent},
		Local: netip.MustParseAddrPort("10.0.0.5:40000"), Info: tcpvet.TCPInfo{LastAckRecv: silent, LastDataRecv: silent + time.Second},
	}
}

// A retransmission timer that has not ended yet, or a zero window that is probed,
// is no silent peer; neither is a keepalive probe of a side that is closing.
func TestStalls(t *testing.T) {
	var all tcpvet.Tally
	for _, s := range []*tcpvet.Socket{
		waiting(tcpvet.Established, tcpvet.TimerOn, 0, time.Second),
		waiting(tcpvet.Established, tcpvet.TimerOn, 1, time.Minute),
		waiting(tcpvet.Established, tcpvet.TimerOn, 7, 5*time.Minute),
		waiting(tcpvet.Established, tcpvet.TimerPersist, 9, time.Minute),
		waiting(tcpvet.Established, tcpvet.TimerKeepalive, 2, 10*time.Minute),
		waiting(tcpvet.Established, tcpvet.TimerKeepalive, 1, time.Hour),
		waiting(tcpvet.CloseWait, tcpvet.TimerKeepalive, 2, 10*time.Minute),
		waiting(tcpvet.SynSent, tcpvet.TimerOn, 3, 0),
		waiting(tcpvet.SynSent, tcpvet.TimerOn, 1, 0),
		waiting(tcpvet.LastAck, tcpvet.TimerOn, 4, 0),
		{Known: tcpvet.FactQueues, State: tcpvet.SynSent, Timer: tcpvet.Timer{Kind: tcpvet.TimerOn, Retransmits: 9}},
	} {
		var one tcpvet.Tally
		one.Add(s)
		all.Merge(&one)
	}
	st := all.Stalled
	if st == nil {
		t.Fatal("nothing waits")
	}
	for state, want := range map[tcpvet.State][3]uint32{
		tcpvet.Established: {2, 1, 7}, tcpvet.SynSent: {2, 1, 3}, tcpvet.LastAck: {1, 1, 4}, tcpvet.CloseWait: {},
	} {
		if got := [3]uint32{st.Resent[state], st.Twice[state], uint32(st.Most[state])}; got != want {
			t.Errorf("%v: resent, twice and most are %v, want %v", state, got, want)
		}
	}
	if st.Probed != 2 || st.ProbedTwice != 1 || st.SilentProbed.Total() != 1 || st.SilentProbed.AtLeast(8*time.Minute) != 1 {
		t.Errorf("%d probed, %d twice, silent %v", st.Probed, st.ProbedTwice, st.SilentProbed)
	}
	if st.Silent.Total() != 1 || st.Silent.AtLeast(4*time.Minute) != 1 {
		t.Errorf("silent %v", st.Silent)
	}
	if l := st.Longest; l == nil || l.Age.Low != 5*time.Minute || l.Timer.Retransmits != 7 {
		t.Errorf("the longest is %+v", l)
	}
	if l := st.LongestProbed; l == nil || l.Age.Low != 10*time.Minute || l.Timer.Retransmits != 2 {
		t.Errorf("the longest that was probed is %+v", l)
	}
}

func TestQueued(t *testing.T) {
	var all tcpvet.Tally
	for _, s := range []*tcpvet.Socket{
		{Known: told, State: tcpvet.Established, RecvQ: 100, Info: tcpvet.TCPInfo{LastDataRecv: 2 * time.Minute, LastDataSent: time.Hour}},
		{Known: told, State: tcpvet.Established, RecvQ: 50, Info: tcpvet.TCPInfo{LastDataRecv: time.Hour, LastDataSent: time.Second}},
		{Known: told, State: tcpvet.Established, Info: tcpvet.TCPInfo{LastDataRecv: time.Hour}},
		{Known: tcpvet.FactQueues, State: tcpvet.Established, RecvQ: 7},
		{Known: told, State: tcpvet.CloseWait, RecvQ: 1, Info: tcpvet.TCPInfo{LastDataRecv: time.Hour}},
		{Known: told, State: tcpvet.Established, SendQ: 4096, Timer: tcpvet.Timer{Kind: tcpvet.TimerPersist}, Info: tcpvet.TCPInfo{LastDataSent: 3 * time.Minute}},
		{Known: told, State: tcpvet.FinWait1, SendQ: 10, Timer: tcpvet.Timer{Kind: tcpvet.TimerPersist}, Info: tcpvet.TCPInfo{LastDataSent: time.Minute}},
	} {
		var one tcpvet.Tally
		one.Add(s)
		all.Merge(&one)
	}
	q := all.Queued
	if q == nil || q.Sockets != 3 || q.Bytes != 157 || q.Unread.Total() != 2 || q.Unread.AtLeast(time.Minute) != 1 {
		t.Fatalf("unread %+v", q)
	}
	if q.LongestUnread.Age.Low != 2*time.Minute || q.LongestUnreadOf != 100 {
		t.Errorf("the longest unread is %+v, %d bytes", q.LongestUnread, q.LongestUnreadOf)
	}
	if q.BlockedSockets != 2 || q.BlockedBytes != 4106 || q.LongestBlocked.Age.Low != 3*time.Minute || q.LongestBlockedOf != 4096 {
		t.Errorf("blocked %+v", q)
	}
}

func TestSpans(t *testing.T) {
	var s tcpvet.Spans
	for _, d := range []time.Duration{-time.Second, 0, 29*time.Second + 970*time.Millisecond, 30 * time.Second, 59 * time.Second, 2 * time.Hour, 90 * 24 * time.Hour} {
		s.Add(d)
	}
	for d, want := range map[time.Duration]uint64{
		0: 7, time.Second: 5, 30 * time.Second: 5, 31 * time.Second: 3, 45 * time.Second: 3, 2 * time.Hour: 2, 24 * time.Hour: 1, 25 * time.Hour: 0,
	} {
		if got := s.AtLeast(d); got != want {
			t.Errorf("%d are at least %v, want %d", got, d, want)
		}
	}
	if s.Edge(31*time.Second) != 45*time.Second || s.Edge(30*time.Second) != 30*time.Second || s.Longest() != 24*time.Hour {
		t.Errorf("edges %v, %v; longest %v", s.Edge(31*time.Second), s.Edge(30*time.Second), s.Longest())
	}
}

// The rest of the timer and the time since the last segment make the time that
// was set, on an idle connection.
func TestKeepaliveAtLeast(t *testing.T) {
	var tally tcpvet.Tally
	tally.Add(&tcpvet.Socket{
		Known: told, State: tcpvet.Established, Timer: tcpvet.Timer{Kind: tcpvet.TimerKeepalive, Expires: 250 * time.Second},
		Info: tcpvet.TCPInfo{LastDataSent: time.Hour, LastDataRecv: 2 * time.Hour, LastAckRecv: 50 * time.Second},
	})
	if k := tally.Keepalive; k == nil || k.AtLeast(300*time.Second) != 1 || k.AtLeast(350*time.Second) != 0 {
		t.Errorf("got %v, want one of 300 s", k)
	}
}

func TestLimitTo(t *testing.T) {
	at := time.Date(2026, 11, 29, 17, 0, 0, 0, time.UTC)
	c := tcpvet.Case{Limits: []tcpvet.PathLimit{
		{Idle: 350 * time.Second}, {Remote: netip.MustParsePrefix("10.0.3.0/24"), Idle: 60 * time.Second},
		{Remote: netip.MustParsePrefix("10.0.3.0/25"), Idle: 90 * time.Second},
		{Remote: netip.MustParsePrefix("10.0.4.7/32"), Port: 80, Idle: 30 * time.Second, Safe: 20 * time.Second, Measured: at},
		{Kind: tcpvet.OfServer, Remote: netip.MustParsePrefix("fe80::1/128"), Port: 80, Idle: 5 * time.Second},
	}}
	for peer, want := range map[string]time.Duration{
		"10.0.3.7:1": 60 * time.Second, "[::ffff:10.0.3.7]:80": 60 * time.Second, "192.0.2.1:80": 350 * time.Second,
		"10.0.4.7:80": 30 * time.Second, "10.0.4.7:443": 350 * time.Second, "10.0.4.8:80": 350 * time.Second, "[fe80::1%eth0]:80": 350 * time.Second,
	} {
		got, ok := c.LimitTo(netip.MustParseAddrPort(peer), tcpvet.OnPath)
		if !ok || got.Idle != want {
			t.Errorf("to %s: %v, want %v", peer, got, want)
		}
		if want := map[bool]time.Duration{true: 20 * time.Second, false: got.Idle}[got.Port == 80]; got.Survived() != want {
			t.Errorf("to %s: survived %v, want %v", peer, got.Survived(), want)
		}
		if got, ok := c.LimitTo(netip.MustParseAddrPort(peer), tcpvet.OfServer); ok != (peer == "[fe80::1%eth0]:80") || ok && got.Idle != 5*time.Second {
			t.Errorf("of the server %s: %+v, %v", peer, got, ok)
		}
	}
	if got, ok := c.LimitTo(netip.AddrPort{}, tcpvet.OnPath); !ok || got.Idle != 350*time.Second {
		t.Errorf("to all: %+v, %v", got, ok)
	}
	if _, ok := (&tcpvet.Case{}).LimitTo(netip.MustParseAddrPort("10.0.3.7:80"), tcpvet.OnPath); ok {
		t.Error("a limit where none is known")
	}
}
