package vet_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// TestHoldings sums a process's sockets over its local addresses and leaves the
// Census as it was.
func TestHoldings(t *testing.T) {
	one, two := tcpvet.Process{PID: 1}, tcpvet.Process{PID: 2}
	service := netip.MustParseAddrPort("10.0.3.7:80")
	group := func(p tcpvet.Process, local string, to netip.AddrPort) tcpvet.Group {
		return tcpvet.Group{Holder: p, Role: tcpvet.Client, Local: netip.MustParseAddr(local), Service: to}
	}
	tally := func(n int) *tcpvet.Tally {
		t := new(tcpvet.Tally)
		for range n {
			t.Add(&tcpvet.Socket{
				Known: tcpvet.FactQueues | tcpvet.FactInfo | tcpvet.FactTimer, State: tcpvet.CloseWait, RecvQ: 1,
				Info: tcpvet.TCPInfo{LastAckRecv: time.Duration(n) * time.Minute}, SharedWith: []tcpvet.Process{{PID: 9}},
			})
		}
		return t
	}
	build := func() map[tcpvet.Group]*tcpvet.Tally {
		return map[tcpvet.Group]*tcpvet.Tally{
			group(one, "10.0.0.5", service):                                 tally(3),
			group(one, "10.0.0.4", service):                                 tally(4),
			group(one, "10.0.0.4", netip.MustParseAddrPort("10.0.3.7:443")): tally(5),
			group(two, "10.0.0.4", service):                                 tally(6),
			group(two, "10.0.0.9", service):                                 new(tcpvet.Tally),
		}
	}
	c := &tcpvet.Census{Groups: build()}
	held := vet.Holdings(c, func(_ tcpvet.Group, t *tcpvet.Tally) bool { return t.States[tcpvet.CloseWait] > 0 })
	var counts []uint32
	for _, h := range held {
		counts = append(counts, h.States[tcpvet.CloseWait])
	}
	if want := []uint32{3 + 4, 5, 6}; !slices.Equal(counts, want) {
		t.Fatalf("holdings of %v, want %v: by process, then service", counts, want)
	}
	if want := []netip.Addr{netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("10.0.0.5")}; !slices.Equal(held[0].Locals, want) {
		t.Errorf("local addresses %v, want %v", held[0].Locals, want)
	}
	if got := held[1].Local(); got != netip.MustParseAddr("10.0.0.4") || held[0].Local().IsValid() {
		t.Errorf("the only local address is %v, of several %v", got, held[0].Local())
	}
	sum := held[1]
	sum.Merge(&held[0])
	if sum.States[tcpvet.CloseWait] != 12 || sum.Service.IsValid() || sum.Local().IsValid() {
		t.Errorf("the sum of two services holds %d, service %v, local %v", sum.States[tcpvet.CloseWait], sum.Service, sum.Local())
	}
	if want := []tcpvet.Process{{PID: 9}}; !slices.Equal(sum.SharedWith(), want) || sum.Shared[want[0]] != 12 {
		t.Errorf("shared with %v", sum.Shared)
	}
	if diff := cmp.Diff(build(), c.Groups, cmpopts.EquateComparable(tcpvet.Group{}, netip.AddrPort{})); diff != "" {
		t.Errorf("the Census was changed:\n%s", diff)
	}
}
