package tcpvet_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func TestPlanWords(t *testing.T) {
	for _, word := range []string{"keepalive", "close", "sysctl", "run"} {
		if k, err := tcpvet.ParsePlanKind(word); err != nil || k.String() != word {
			t.Errorf("%s: %v, %v", word, k, err)
		}
	}
	for _, word := range []string{"", "none", "Close", "keepalives"} {
		if k, err := tcpvet.ParsePlanKind(word); err == nil {
			t.Errorf("%q is read as %v", word, k)
		}
	}
	for _, word := range []string{"", "applied", "undone", "gone", "unchanged", "refused", "failed"} {
		if o, err := tcpvet.ParseOutcome(word); err != nil || string(o) != word {
			t.Errorf("%q: %q, %v", word, o, err)
		}
	}
	if o, err := tcpvet.ParseOutcome("planned"); err == nil {
		t.Errorf("planned is read as %q", o)
	}
}

func TestPlanSummary(t *testing.T) {
	socket := func(n int, pid int32) (out []tcpvet.Change) {
		for i := range n {
			out = append(out, tcpvet.Change{Target: tcpvet.Target{Cookie: uint64(i + 1), Holder: tcpvet.Process{PID: pid}}})
		}
		return out
	}
	setting := func(name, before, after string) tcpvet.Change {
		return tcpvet.Change{Target: tcpvet.Target{Setting: name}, Before: tcpvet.Value{Text: before}, After: tcpvet.Value{Text: after}}
	}
	for _, test := range []struct {
		changes []tcpvet.Change
		want    string
	}{
		{nil, "nothing"},
		{socket(1, 0), "1 socket"},
		{socket(2, -1), "2 sockets"}, // of a process that could not be seen
		{socket(10000, 7), "10,000 sockets of 1 process"},
		{append(socket(2, 7), socket(3, 8)...), "5 sockets of 2 processes"},
		{[]tcpvet.Change{setting("net.ipv4.tcp_tw_reuse", "2", "1")}, "net.ipv4.tcp_tw_reuse 2 -> 1"},
		{[]tcpvet.Change{setting("a", "", "9000")}, `a "" -> 9000`},
		{[]tcpvet.Change{setting("a", "1", "2"), setting("b", "1", "2"), setting("c", "1", "2"), setting("d", "1", "2")}, "a 1 -> 2, b 1 -> 2, c 1 -> 2, 1 more"},
		{[]tcpvet.Change{{Target: tcpvet.Target{Setting: "a", File: "/etc/x.conf"}}, {Target: tcpvet.Target{Run: "api"}}}, "a in /etc/x.conf, begin api"},
		{[]tcpvet.Change{{Target: tcpvet.Target{Run: "api"}, After: tcpvet.Value{Absent: true}}}, "stop api"},
	} {
		p := tcpvet.Plan{Changes: test.changes}
		if got := p.Summary(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestPlanTally(t *testing.T) {
	p := tcpvet.Plan{Changes: []tcpvet.Change{{Outcome: tcpvet.OutcomeApplied}, {Outcome: tcpvet.OutcomeGone}, {Outcome: tcpvet.OutcomeApplied}}}
	if n := p.Tally(); n[tcpvet.OutcomeApplied] != 2 || n[tcpvet.OutcomeGone] != 1 || p.Pending() {
		t.Errorf("%v, pending %v", n, p.Pending())
	}
	p.Changes = append(p.Changes, tcpvet.Change{})
	if !p.Pending() {
		t.Error("a change that was not tried is not pending")
	}
}

func TestValueText(t *testing.T) {
	timers := tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5}
	late := timers
	late.UserTimeout = 45 * time.Second
	off := tcpvet.Timers{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9}
	for want, v := range map[string]tcpvet.Value{
		"":                                {},
		"none":                            {Absent: true},
		"CLOSE-WAIT":                      {State: tcpvet.CloseWait},
		"30s + 5 x 3s":                    {Timers: timers},
		"30s + 5 x 3s, user timeout 45s":  {Timers: late},
		"off":                             {Timers: off},
		"30s + 5 x 3s, 10.0.0.1,10.0.0.2": {Timers: timers, Text: "10.0.0.1,10.0.0.2"},
	} {
		if got := v.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
