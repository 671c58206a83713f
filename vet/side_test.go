package vet_test

import (
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// A loopback address, and one that two namespaces have, is of each namespace; any
// other is the same for all.
func TestSidesAt(t *testing.T) {
	netns := func(addrs ...string) tcpvet.Netns {
		var n tcpvet.Netns
		for _, a := range addrs {
			n.Addresses = append(n.Addresses, tcpvet.Address{Prefix: netip.MustParsePrefix(a)})
		}
		return n
	}
	sides := vet.SidesOf(&tcpvet.Census{Netns: map[tcpvet.NetnsID]tcpvet.Netns{
		7: netns("10.0.0.7/24", "172.17.0.2/16"), 8: netns("172.17.0.2/16"), 9: netns("10.0.0.9/24", "10.0.0.9/32"),
	}})
	for service, ns := range map[string]tcpvet.NetnsID{
		"127.0.0.1:80": 7, "[::1]:80": 7, "10.0.0.7:80": 0, "[fd00::7]:80": 0, "172.17.0.2:80": 7, "10.0.0.9:80": 0,
	} {
		at := netip.MustParseAddrPort(service)
		e := sides.At(7, tcpvet.Client, at)
		if want := (vet.Side{Netns: ns, Role: tcpvet.Client, Service: at}); e != want {
			t.Errorf("%+v, want %+v", e, want)
		}
		if want := (vet.Side{Netns: ns, Role: tcpvet.Server, Service: at}); e.Other() != want || e.Other().Other() != e {
			t.Errorf("the other end is %+v, want %+v", e.Other(), want)
		}
	}
}
