package ipv6localhost_test

import (
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
	ipv6localhost "github.com/tcpvet/tcpvet/rules/ipv6-localhost"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

// TestManyNamespaces gives ten containers of one image the same fault: three are
// named, and the rest is one finding. Where the addresses were not read nothing is
// said.
func TestManyNamespaces(t *testing.T) {
	c := tcpvet.Census{
		Facts: tcpvet.FactHosts | tcpvet.FactAddresses, Self: 1, Whole: true,
		Netns: map[tcpvet.NetnsID]tcpvet.Netns{}, Processes: map[tcpvet.Process]tcpvet.ProcessInfo{},
	}
	for i := range 12 {
		n := tcpvet.Netns{ID: tcpvet.NetnsID(10 + i), Addresses: []tcpvet.Address{}}
		if i >= 10 {
			n.Addresses = nil
		}
		c.Netns[n.ID] = n
		c.Processes[tcpvet.Process{PID: int32(100 + i)}] = tcpvet.ProcessInfo{Comm: "w", Netns: n.ID, Localhost: []netip.Addr{netip.IPv6Loopback()}}
	}
	got := ruletest.Judge(t, ipv6localhost.Rule, tcpvet.Case{Now: c})
	if len(got) != 4 || got[0].Title != "w[100]   netns 10   localhost means ::1, which nobody has here" || got[3].Title != "7 more places where localhost means ::1" {
		for _, f := range got {
			t.Logf("%s", ruletest.Text(f))
		}
		t.Fatalf("%d findings, want 3 that are named and one of 7 more", len(got))
	}
}
