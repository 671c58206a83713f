package vet_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// The largest are kept, a warning before what is only larger; what is summed up
// loses nothing, whatever the order was; and namespaces and kinds do not mix.
func TestSumUp(t *testing.T) {
	const most = 3
	pile := func(ns tcpvet.NetnsID, kind string, port uint16, count uint64, severity tcpvet.Severity) vet.Pile {
		h := vet.Holding{
			Held:   vet.Held{Netns: ns, Role: tcpvet.Client, Service: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.7"), port)},
			Locals: []netip.Addr{netip.MustParseAddr("10.0.0.5")}, Tally: new(tcpvet.Tally),
		}
		h.States[tcpvet.SynSent] = uint32(count)
		return vet.Pile{Holding: h, Kind: kind, Count: count, Severity: severity, Unsure: port == 86}
	}
	all := []vet.Pile{
		pile(1, "a", 81, 10, tcpvet.Warning), pile(1, "a", 82, 12, tcpvet.Warning), pile(1, "a", 83, 900, tcpvet.Info),
		pile(1, "a", 84, 5, tcpvet.Info), pile(1, "a", 85, 6, tcpvet.Info), pile(1, "a", 86, 5, tcpvet.Info),
		pile(1, "b", 81, 1, tcpvet.Info), pile(1, "b", 82, 2, tcpvet.Info), pile(1, "b", 83, 3, tcpvet.Info), pile(1, "b", 84, 4, tcpvet.Info), // one alone is no rest
		pile(2, "a", 81, 7, tcpvet.Info),
	}
	type row struct {
		ns     tcpvet.NetnsID
		kind   string
		port   uint16 // 0 for several
		count  uint64
		piles  int
		unsure bool
	}
	want := []row{
		{1, "a", 82, 12, 1, false}, {1, "a", 81, 10, 1, false}, {1, "a", 83, 900, 1, false}, {1, "a", 0, 16, 3, true},
		{1, "b", 84, 4, 1, false}, {1, "b", 83, 3, 1, false}, {1, "b", 82, 2, 1, false}, {1, "b", 81, 1, 1, false},
		{2, "a", 81, 7, 1, false},
	}
	for range 50 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got := vet.SumUp(append([]vet.Pile(nil), all...), most)
		if len(got) != len(want) {
			t.Fatalf("%d piles, want %d", len(got), len(want))
		}
		for i, p := range got {
			r := row{p.Netns, p.Kind, p.Service.Port(), p.Count, p.Piles, p.Unsure}
			if r != want[i] || p.States[tcpvet.SynSent] != uint32(p.Count) {
				t.Fatalf("pile %d is %+v with %d sockets, want %+v", i, r, p.States[tcpvet.SynSent], want[i])
			}
		}
	}
	for _, p := range all {
		if p.States[tcpvet.SynSent] != uint32(p.Count) {
			t.Errorf("the Census's own tally was changed: %d of %d", p.States[tcpvet.SynSent], p.Count)
		}
	}
}

func TestListenerAt(t *testing.T) {
	c := tcpvet.Census{Listeners: make(map[tcpvet.Listener]*tcpvet.Queue)}
	for _, at := range []string{"0.0.0.0:80", "10.0.0.5:80", "[::]:81", "[::ffff:10.0.0.5]:82", "[2001:db8::5]:83", "0.0.0.0:84"} {
		c.Listeners[tcpvet.Listener{Netns: 1, Local: netip.MustParseAddrPort(at)}] = new(tcpvet.Queue)
	}
	for at, want := range map[string]string{
		"10.0.0.5:80": "10.0.0.5:80", "10.0.0.6:80": "0.0.0.0:80", "10.0.0.5:81": "[::]:81", "[2001:db8::5]:81": "[::]:81",
		"10.0.0.5:82": "[::ffff:10.0.0.5]:82", "[2001:db8::5]:83": "[2001:db8::5]:83", "[2001:db8::5]:84": "", "10.0.0.5:85": "", "[2001:db8::6]:83": "",
	} {
		l, q := vet.ListenerAt(&c, 1, netip.MustParseAddrPort(at))
		if (q != nil) != (want != "") || q != nil && l.Local.String() != want {
			t.Errorf("%s is accepted by %v, want %s", at, l.Local, want)
		}
		if _, q := vet.ListenerAt(&c, 2, netip.MustParseAddrPort(at)); q != nil {
			t.Errorf("%s is accepted in another namespace", at)
		}
	}
	if _, q := vet.ListenerAt(&c, 1, netip.AddrPort{}); q != nil {
		t.Error("nowhere is a listener")
	}
}
