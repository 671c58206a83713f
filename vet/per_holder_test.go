package vet_test

import (
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// TestByHolder sums up what two processes hold toward five services: each end of a
// process by itself, the services in the order of what they have.
func TestByHolder(t *testing.T) {
	a, b := tcpvet.Process{PID: 1, Start: 1}, tcpvet.Process{PID: 2, Start: 1}
	c := &tcpvet.Census{
		Groups: make(map[tcpvet.Group]*tcpvet.Tally),
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{
			a: {Container: &tcpvet.Container{Name: "shop"}},
		},
	}
	put := func(p tcpvet.Process, role tcpvet.Role, local, service string, n uint32) {
		g := tcpvet.Group{Netns: 7, Holder: p, Role: role}
		if service != "" {
			g.Local, g.Service = netip.MustParseAddr(local), netip.MustParseAddrPort(service)
		}
		c.Groups[g] = &tcpvet.Tally{}
		c.Groups[g].States[tcpvet.Established] = n
	}
	put(a, tcpvet.Client, "10.0.0.1", "10.0.3.1:80", 1)
	put(a, tcpvet.Client, "10.0.0.2", "10.0.3.1:80", 2)
	put(a, tcpvet.Client, "10.0.0.1", "10.0.3.2:80", 5)
	put(a, tcpvet.Client, "10.0.0.1", "10.0.3.3:80", 4)
	put(a, tcpvet.Client, "", "", 2)
	put(a, tcpvet.Client, "10.0.0.1", "10.0.3.5:80", 1)
	put(a, tcpvet.Server, "10.0.0.1", "10.0.0.1:443", 9)
	put(b, tcpvet.Client, "10.0.0.1", "10.0.3.1:80", 6)
	count := func(h *vet.Holding) uint64 { return uint64(h.States[tcpvet.Established]) }
	all := vet.ByHolder(vet.Holdings(c, func(tcpvet.Group, *tcpvet.Tally) bool { return true }), count)
	if len(all) != 3 {
		t.Fatalf("%d, want the client and the server of one process and the client of the other", len(all))
	}
	for i, want := range []struct {
		count    uint64
		services int
		about    string
		most     string
		local    bool
	}{
		{15, 5, "to 5 services", "Most of them: 10.0.3.2:80 (5), 10.0.3.3:80 (4), 10.0.3.1:80 (3), 2 others.", false},
		{9, 1, "on 10.0.0.1:443", "", true},
		{6, 1, "to 10.0.3.1:80", "", true},
	} {
		p := &all[i]
		s := p.Subject(c)
		if p.Count != want.count || s.Services != want.services || p.About() != want.about || p.Most(c) != want.most || s.Local.IsValid() != want.local {
			t.Errorf("%d: %d, %d services, %q, %q, local %v; want %+v", i, p.Count, s.Services, p.About(), p.Most(c), s.Local, want)
		}
		if (s.Container != nil) != (p.Holder == a) || len(s.Processes) != 1 || s.Processes[0] != p.Holder || s.Netns != 7 {
			t.Errorf("%d: subject %+v", i, s)
		}
		if n := uint64(p.States[tcpvet.Established]); n != want.count {
			t.Errorf("%d: its tally has %d, want %d", i, n, want.count)
		}
	}
	// What was folded stands for at least two.
	folded := vet.ByHolder(vet.Holdings(c, func(g tcpvet.Group, _ *tcpvet.Tally) bool { return g.Folded() }), count)[0]
	if folded.About() != "to 2 services" || folded.Subject(c).Services != 2 {
		t.Errorf("folded: %s, %+v", folded.About(), folded.Subject(c))
	}
	if n := c.Groups[tcpvet.Group{Netns: 7, Holder: a, Role: tcpvet.Client, Local: netip.MustParseAddr("10.0.0.1"), Service: netip.MustParseAddrPort("10.0.3.1:80")}].Total(); n != 1 {
		t.Errorf("the Census was changed: a group has %d sockets, had 1", n)
	}
}
