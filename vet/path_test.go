package vet_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func TestPeerMayVanish(t *testing.T) {
	c := &tcpvet.Census{
		Facts: tcpvet.FactHolders,
		Netns: map[tcpvet.NetnsID]tcpvet.Netns{5: {Addresses: []tcpvet.Address{{Prefix: netip.MustParsePrefix("10.0.0.6/24"), Up: true}}}},
	}
	for _, tt := range []struct {
		name           string
		role           tcpvet.Role
		pid            int32
		local, service string
		want           bool
	}{
		{"another host", tcpvet.Client, 1, "10.0.0.5", "10.0.0.7:80", true},
		{"a client from anywhere", tcpvet.Server, 1, "10.0.0.6", "10.0.0.6:80", true},
		{"loopback", tcpvet.Client, 1, "127.0.0.1", "127.0.0.1:80", false},
		{"loopback of IPv6", tcpvet.Server, 1, "::1", "[::1]:80", false},
		{"to its own address", tcpvet.Client, 1, "10.0.0.5", "10.0.0.5:80", false},
		{"to an address of the host", tcpvet.Client, 1, "10.0.0.5", "10.0.0.6:80", false},
		{"not accepted", tcpvet.Server, 0, "10.0.0.6", "10.0.0.6:80", false},
		{"folded", tcpvet.Client, 1, "", "", false},
	} {
		g := tcpvet.Group{Netns: 5, Role: tt.role, Holder: tcpvet.Process{PID: tt.pid}}
		if tt.service != "" {
			g.Local, g.Service = netip.MustParseAddr(tt.local), netip.MustParseAddrPort(tt.service)
		}
		if got := vet.PeerMayVanish(c, g); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestIdleLimit(t *testing.T) {
	some := tcpvet.PathLimit{Remote: netip.MustParsePrefix("10.0.3.0/24"), Idle: time.Minute}
	all := tcpvet.PathLimit{Idle: time.Hour}
	inside, outside := netip.MustParseAddrPort("10.0.3.7:80"), netip.MustParseAddrPort("10.0.4.7:80")
	for _, tt := range []struct {
		name    string
		limits  []tcpvet.PathLimit
		role    tcpvet.Role
		service netip.AddrPort
		want    time.Duration // 0 for none
	}{
		{"none", nil, tcpvet.Client, inside, 0},
		{"a client's peer", []tcpvet.PathLimit{all, some}, tcpvet.Client, inside, time.Minute},
		{"another's", []tcpvet.PathLimit{some}, tcpvet.Client, outside, 0},
		{"all", []tcpvet.PathLimit{some, all}, tcpvet.Client, outside, time.Hour},
		{"a server's own address is no peer", []tcpvet.PathLimit{some}, tcpvet.Server, inside, 0},
		{"a server by a limit to all", []tcpvet.PathLimit{some, all}, tcpvet.Server, inside, time.Hour},
		{"folded services", []tcpvet.PathLimit{some, all}, tcpvet.Client, netip.AddrPort{}, time.Hour},
	} {
		got, ok := vet.IdleLimit(&tcpvet.Case{Limits: tt.limits}, tt.role, tt.service)
		if got.Idle != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, ok, tt.want)
		}
	}
}

func TestLimitText(t *testing.T) {
	at := time.Date(2026, 11, 29, 18, 2, 0, 0, time.FixedZone("CET", 3600))
	for _, tt := range []struct {
		limit tcpvet.PathLimit
		now   time.Time
		want  string
	}{
		{tcpvet.PathLimit{Idle: 350 * time.Second}, at, "5 min 50 s"},
		{tcpvet.PathLimit{Idle: 3050 * time.Millisecond, Safe: 2950 * time.Millisecond, Measured: at}, at.Add(23 * time.Hour), "between 2.9 s and 3.1 s, as tcpvet probe measured at 2026-11-29 17:02 UTC"},
		{tcpvet.PathLimit{Idle: 60 * time.Second, Safe: 50 * time.Second, Measured: at}, at.Add(49 * time.Hour), "between 50 s and 1 min, as tcpvet probe measured at 2026-11-29 17:02 UTC, 2 d 1 h before this look"},
		{tcpvet.PathLimit{Idle: time.Second, Measured: at}, time.Time{}, "at most 1 s, as tcpvet probe measured at 2026-11-29 17:02 UTC"},
	} {
		if got := vet.LimitText(&tt.limit, tt.now); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
