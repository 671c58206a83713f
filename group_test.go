package tcpvet_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// What may have moved the time that dates the FIN: the answer to a probe where the
// keepalive timer runs, else what was sent since the last data came in. A bare FIN
// leaves lastrcv alone (tcp_fin in net/ipv4/tcp_input.c).
func TestVague(t *testing.T) {
	const s = time.Second
	var all tcpvet.Tally
	for _, tt := range []struct {
		name            string
		facts           tcpvet.Facts
		timer           tcpvet.TimerKind
		sent, recv, ack time.Duration
		want            tcpvet.Vague
	}{
		{"a bare FIN", known, tcpvet.TimerNone, 60 * s, 60 * s, s, tcpvet.Vague{}},
		{"keepalive", known, tcpvet.TimerKeepalive, 61 * s, 60 * s, s, tcpvet.Vague{Total: 1, Probed: 1}},
		{"keepalive, and data sent last", known, tcpvet.TimerKeepalive, 59 * s, 60 * s, s, tcpvet.Vague{Total: 1, Probed: 1}},
		{"data came with the FIN", known, tcpvet.TimerKeepalive, 60 * s, s, s, tcpvet.Vague{}},
		{"written since", known, tcpvet.TimerNone, 2 * s, 60 * s, s, tcpvet.Vague{Total: 1, Written: 1}},
		{"written and not acknowledged", known, tcpvet.TimerOn, 2 * s, 60 * s, s, tcpvet.Vague{Total: 1, Written: 1}},
		{"no timers told", known &^ tcpvet.FactTimer, tcpvet.TimerNone, 2 * s, 60 * s, s, tcpvet.Vague{Total: 1}},
	} {
		var tally tcpvet.Tally
		tally.Add(&tcpvet.Socket{
			Known: tt.facts, State: tcpvet.CloseWait, RecvQ: 1, Timer: tcpvet.Timer{Kind: tt.timer},
			Info: tcpvet.TCPInfo{LastDataSent: tt.sent, LastDataRecv: tt.recv, LastAckRecv: tt.ack},
		})
		if tally.CloseWaitVague != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, tally.CloseWaitVague, tt.want)
		}
		all.Merge(&tally)
	}
	if want := (tcpvet.Vague{Total: 5, Probed: 2, Written: 2}); all.CloseWaitVague != want {
		t.Errorf("together %+v, want %+v", all.CloseWaitVague, want)
	}
}

// Which exemplar is shown does not depend on the order of summing up.
func TestOldestOfEqualAge(t *testing.T) {
	at := func(port uint16, low, high time.Duration) *tcpvet.Tally {
		return &tcpvet.Tally{Oldest: &tcpvet.Exemplar{
			Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), port), Age: tcpvet.Age{Low: low, High: high},
		}}
	}
	all := []*tcpvet.Tally{
		at(1, time.Minute, time.Minute), at(2, time.Minute, time.Hour), at(3, time.Minute, time.Hour), at(4, time.Second, 2*time.Hour),
	}
	for range 20 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		var sum tcpvet.Tally
		for _, one := range all {
			sum.Merge(one)
		}
		if got := sum.Oldest.Local.Port(); got != 2 {
			t.Fatalf("the oldest is that on port %d, want 2", got)
		}
	}
}

func TestMergeReusable(t *testing.T) {
	sum := tcpvet.Tally{Reusable: 3}
	sum.Merge(&tcpvet.Tally{Reusable: 4})
	if sum.Reusable != 7 {
		t.Errorf("3 and 4 reusable are %d", sum.Reusable)
	}
}
