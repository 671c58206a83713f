package live

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

var began = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// TestAllowance looks as often as it may for an hour. What was spent is at most the
// share of that time, what may be saved up, and the look that overdraws.
func TestAllowance(t *testing.T) {
	for _, look := range []time.Duration{time.Millisecond, 40 * time.Millisecond, 600 * time.Millisecond, 3 * time.Second} {
		a := newAllowance(0.05)
		var spent time.Duration
		looks, now := 0, began
		for ; now.Sub(began) < time.Hour; now = now.Add(100 * time.Millisecond) {
			if a.allows(now) {
				a.take(look)
				spent += look
				looks++
			}
		}
		if most := time.Hour/20 + burst + look; spent > most {
			t.Errorf("looks of %s: %s in an hour, want at most %s", look, spent, most)
		}
		if want := min(int(0.9*float64(time.Hour/20)/float64(look)), 36000*9/10); looks < want {
			t.Errorf("looks of %s: %d in an hour, want %d at least", look, looks, want)
		}
	}
	// Nothing is saved up beyond the burst.
	a := newAllowance(0.05)
	a.allows(began)
	a.allows(began.Add(24 * time.Hour))
	if a.credit != burst {
		t.Errorf("after a day %s are left, want %s", a.credit, burst)
	}
}

// TestVerdicts keeps no more than it is to, the last ones, and none for longer.
func TestVerdicts(t *testing.T) {
	const most = 16
	v := newVerdicts(most)
	at := func(i int) alike {
		return alike{remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)}
	}
	for i := range 10_000 {
		v.put(at(i), began, probe.Verdict{Cause: tcpvet.CauseRefused, Text: []string{fmt.Sprint(i), "more"}, Remedies: make([]tcpvet.Remedy, 3)})
		v.put(at(i), began, probe.Verdict{Cause: tcpvet.CauseTimedOut, Text: []string{fmt.Sprint(i), "more"}, Remedies: make([]tcpvet.Remedy, 3)})
		if len(v.by) > most || len(v.order) > most {
			t.Fatalf("%d verdicts, want %d at most", len(v.by), most)
		}
	}
	for i := range 10_000 {
		got, ok := v.get(at(i), began.Add(-time.Second))
		if ok != (i >= 10_000-most) {
			t.Fatalf("verdict %d: kept %v", i, ok)
		}
		if ok && (got.Cause != tcpvet.CauseTimedOut || len(got.Text) != 1 || got.Text[0] != fmt.Sprint(i) || got.Remedies != nil) {
			t.Errorf("verdict %d: %+v", i, got)
		}
	}
	if _, ok := v.get(at(9_999), began); ok {
		t.Error("a verdict is kept for longer than asked")
	}
}

func TestAlike(t *testing.T) {
	event := func(change func(*tcpvet.Event)) *tcpvet.Event {
		e := &tcpvet.Event{
			Kind: tcpvet.EventFail, Netns: 5, From: tcpvet.SynSent, Errno: 111, Process: tcpvet.Process{PID: 1, Start: 1},
			Local: netip.MustParseAddrPort("10.0.0.5:40000"), Remote: netip.MustParseAddrPort("10.0.3.7:80"),
		}
		if change != nil {
			change(e)
		}
		return e
	}
	key := func(e *tcpvet.Event) alike {
		a := probe.Seen(e)
		return alikeness(e, &a)
	}
	for name, c := range map[string]struct {
		change func(*tcpvet.Event)
		alike  bool
	}{
		"another port that the kernel chose": {func(e *tcpvet.Event) { e.Local = netip.MustParseAddrPort("10.0.0.5:40001") }, true},
		"mapped":                             {func(e *tcpvet.Event) { e.Remote = netip.MustParseAddrPort("[::ffff:10.0.3.7]:80") }, true},
		"another process":                    {func(e *tcpvet.Event) { e.Process.PID = 2 }, true},
		"another time":                       {func(e *tcpvet.Event) { e.At = began }, true},
		"another source":                     {func(e *tcpvet.Event) { e.Local = netip.MustParseAddrPort("10.0.0.6:40000") }, false},
		"another target":                     {func(e *tcpvet.Event) { e.Remote = netip.MustParseAddrPort("10.0.3.7:81") }, false},
		"another namespace":                  {func(e *tcpvet.Event) { e.Netns = 6 }, false},
		"another error":                      {func(e *tcpvet.Event) { e.Errno = 110 }, false},
		"before a port was looked for":       {func(e *tcpvet.Event) { e.From = 0 }, false},
		"another call":                       {func(e *tcpvet.Event) { e.Call = tcpvet.CallBind }, false},
	} {
		if got := key(event(nil)) == key(event(c.change)); got != c.alike {
			t.Errorf("%s: alike %v, want %v", name, got, c.alike)
		}
	}
	routeless := func(from tcpvet.State) func(*tcpvet.Event) {
		return func(e *tcpvet.Event) { e.Errno, e.From, e.Local = 101, from, netip.AddrPort{} }
	}
	if key(event(routeless(0))) == key(event(routeless(tcpvet.SynSent))) {
		t.Error("the answer of a router and that of the routing table are alike")
	}
	// A port that the program chose is another matter, and so is the process at
	// its limit.
	own := func(port uint16) func(*tcpvet.Event) {
		return func(e *tcpvet.Event) { e.Errno, e.Local = 99, netip.AddrPortFrom(e.Local.Addr(), port) }
	}
	if key(event(own(45000))) == key(event(own(45001))) || key(event(own(0))) == key(event(own(45001))) {
		t.Error("another source port of the program's own choice is alike")
	}
	full := func(pid int32) func(*tcpvet.Event) {
		return func(e *tcpvet.Event) { e.Errno, e.Process.PID = 24, pid }
	}
	if key(event(full(1))) == key(event(full(2))) {
		t.Error("another process at its limit is alike")
	}
}
