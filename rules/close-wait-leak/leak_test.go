package closewaitleak_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	closewaitleak "github.com/tcpvet/tcpvet/rules/close-wait-leak"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

// TestFolded puts a folded group in front of one that has a name: both are
// found, each with its own number. A small one is summed up with the folded.
func TestFolded(t *testing.T) {
	leaked := func(n uint32) *tcpvet.Tally {
		t := &tcpvet.Tally{CloseWaitAge: new([tcpvet.NumCloseWaitKinds]tcpvet.Histogram)}
		t.States[tcpvet.CloseWait], t.CloseWait[tcpvet.NeverRead] = n, n
		for range n {
			t.CloseWaitAge[tcpvet.NeverRead].Add(time.Hour)
		}
		return t
	}
	holder := tcpvet.Process{PID: 50}
	service := netip.MustParseAddrPort("10.0.3.7:8080")
	group := tcpvet.Group{Holder: holder, Role: tcpvet.Client}
	name := group
	name.Local, name.Service = netip.MustParseAddr("10.0.0.5"), service
	small := name
	small.Service = netip.MustParseAddrPort("10.0.3.8:8080")
	c := tcpvet.Case{Now: tcpvet.Census{
		Facts:     tcpvet.FactHolders,
		Groups:    map[tcpvet.Group]*tcpvet.Tally{group: leaked(5000), name: leaked(300), small: leaked(3)},
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{holder: {Comm: "api"}},
	}}
	found := ruletest.Judge(t, closewaitleak.Rule, c)
	if len(found) != 2 {
		t.Fatalf("%d findings, want 2", len(found))
	}
	for i, want := range []struct {
		service netip.AddrPort
		n       float64
		title   string
	}{{netip.AddrPort{}, 5003, "api[50]   to many services"}, {service, 300, "api[50]   to 10.0.3.7:8080"}} {
		f := found[i]
		if f.Subject.Service != want.service || f.Numbers[0].Value != want.n || f.Title != want.title {
			t.Errorf("finding %d is %q about %v, of %v; want %+v", i, f.Title, f.Subject.Service, f.Numbers[0], want)
		}
	}
}
