package vet_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// TestHeadroom counts the ports one by one.
func TestHeadroom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		port := rapid.Uint16Range(1000, 1100)
		set := func(name string) (s tcpvet.PortSet, has map[uint16]bool) {
			has = make(map[uint16]bool)
			for range rapid.IntRange(0, 8).Draw(t, name) {
				low := port.Draw(t, "low")
				high := min(low+rapid.Uint16Range(0, 9).Draw(t, "more"), 1105)
				s.Add(low, high)
				for p := low; p <= high; p++ {
					has[p] = true
				}
			}
			return s, has
		}
		low := port.Draw(t, "range")
		ports := &tcpvet.Ports{Low: low, High: low + rapid.Uint16Range(0, 50).Draw(t, "size")}
		var reserved, bound map[uint16]bool
		ports.Reserved, reserved = set("reserved")
		held, bound := set("bound")

		var want vet.Headroom
		budget := &tcpvet.Budget{ReusableTimeWait: 3}
		for p := ports.Low; p <= ports.High; p++ {
			want.Range++
			free := false
			switch {
			case reserved[p]:
				want.Reserved++
			case bound[p]:
				want.Blocked++
			default:
				free = true
			}
			if !bound[p] && rapid.Bool().Draw(t, "connected") { // on a reserved port only by bind()
				budget.Taken[tcpvet.Established]++
				if free {
					want.Taken++
					free = false
				} else {
					budget.Reserved++
				}
			}
			if free {
				want.Left++
			}
		}
		tuple := tcpvet.Tuple{Netns: 5, Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddrPort("10.0.3.7:80")}
		c := &tcpvet.Census{
			Netns:  map[tcpvet.NetnsID]tcpvet.Netns{5: {Ports: ports}, 6: {}},
			Bound:  map[tcpvet.NetnsID]*tcpvet.PortSet{5: &held},
			Tuples: map[tcpvet.Tuple]*tcpvet.Budget{tuple: budget},
		}
		room := vet.NewRoom(c)
		if got, ok := room.Of(tuple); !ok || got != want {
			t.Fatalf("headroom %+v, %v; counted %+v", got, ok, want)
		}
		other := tuple
		other.Remote = netip.MustParseAddrPort("10.0.3.8:80")
		empty, ok := room.Of(other)
		if !ok || empty.Taken != 0 || empty.Left != want.Left+want.Taken {
			t.Fatalf("another destination has %+v", empty)
		}
		if _, ok := room.Empty(6); ok {
			t.Fatal("a namespace whose range could not be read has a headroom")
		}
	})
}

func TestLeftRatio(t *testing.T) {
	h := vet.Headroom{Range: 1000, Reserved: 200, Left: 200}
	if got := h.LeftRatio(); got != 0.25 {
		t.Errorf("200 of 1,000 - 200 is %v", got)
	}
	if got := (vet.Headroom{Range: 10, Reserved: 10}).LeftRatio(); got != 0 {
		t.Errorf("nothing of nothing is %v", got)
	}
}
