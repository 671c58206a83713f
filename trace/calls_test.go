package trace

import (
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
)

func TestFinishCall(t *testing.T) {
	const connect, bind, socket, accept = tcpvet.CallConnect, tcpvet.CallBind, tcpvet.CallSocket, tcpvet.CallAccept
	const none = "[::]:0"
	for _, test := range []struct {
		name          string
		call          tcpvet.Call
		errno         int
		local, remote string
		before, want  tcpvet.Cause
		noRemote      bool
	}{
		{"no source address", connect, 99, "[::]:0", "[2001:db8::1]:80", 0, tcpvet.CauseNoSourceAddress, false},
		{"the kernel said that IPv6 is off", connect, 99, "[::]:0", "[::1]:80", tcpvet.CauseIPv6Disabled, tcpvet.CauseIPv6Disabled, false},
		{"the kernel said that lo is down", connect, 101, "0.0.0.0:0", "127.0.0.1:80", tcpvet.CauseLoopbackDown, tcpvet.CauseLoopbackDown, false},
		{"no route", connect, 101, "0.0.0.0:0", "192.0.2.1:80", 0, tcpvet.CauseNoRoute, false},
		{"an unreachable route", connect, 113, "0.0.0.0:0", "192.0.2.1:80", 0, tcpvet.CauseNoRoute, false},
		{"a route or a security module forbids", connect, 13, "0.0.0.0:0", "192.0.2.1:80", 0, tcpvet.CauseUnknown, false},
		{"a firewall or a security module forbids", connect, 1, "0.0.0.0:0", "192.0.2.1:80", 0, tcpvet.CauseUnknown, false},
		{"a loopback source", connect, 22, "127.0.0.1:40000", "192.0.2.1:80", 0, tcpvet.CauseSourceScope, false},
		{"a loopback source, IPv6", connect, 22, "[::1]:40000", "[2001:db8::1]:80", 0, tcpvet.CauseSourceScope, false},
		{"a loopback source to itself", connect, 22, "127.0.0.1:40000", "127.0.0.1:80", 0, tcpvet.CauseUnknown, false},
		{"a blackhole", connect, 22, "0.0.0.0:0", "192.0.2.1:80", 0, tcpvet.CauseUnknown, false},
		{"no size, from a loopback source", connect, 22, "127.0.0.1:40000", none, 0, tcpvet.CauseUnknown, true},
		{"no size", connect, 22, "0.0.0.0:0", none, 0, tcpvet.CauseUnknown, true},
		{"an address out of memory", connect, 14, "127.0.0.1:40000", none, 0, tcpvet.CauseUnknown, true},
		{"another family", connect, 97, "0.0.0.0:0", "[::1]:80", 0, tcpvet.CauseUnknown, false},
		{"refused before", connect, 111, "0.0.0.0:40000", "192.0.2.1:80", 0, tcpvet.CauseRefused, false},
		{"timed out before", connect, 110, "0.0.0.0:40000", "192.0.2.1:80", 0, tcpvet.CauseTimedOut, false},
		{"the port is bound", bind, 98, "127.0.0.1:80", none, 0, tcpvet.CauseBoundPorts, true},
		{"all ports are bound", bind, 98, "127.0.0.1:0", none, 0, tcpvet.CauseBoundPorts, true},
		{"a foreign address", bind, 99, "192.0.2.1:0", none, 0, tcpvet.CauseAddressNotLocal, true},
		{"a privileged port", bind, 13, "0.0.0.0:80", none, 0, tcpvet.CauseUnknown, true},
		{"bound already", bind, 22, "0.0.0.0:80", none, 0, tcpvet.CauseUnknown, true},
		{"no descriptor", socket, 24, "0.0.0.0:0", none, 0, tcpvet.CauseDescriptorLimit, true},
		{"no file", socket, 23, "0.0.0.0:0", none, 0, tcpvet.CauseDescriptorLimit, true},
		{"no IPv6", socket, 97, "[::]:0", none, 0, tcpvet.CauseIPv6Disabled, true},
		{"no IPv4", socket, 97, "0.0.0.0:0", none, 0, tcpvet.CauseUnknown, true},
		{"no memory", socket, 12, "0.0.0.0:0", none, 0, tcpvet.CauseUnknown, true},
		{"no memory, IPv6", socket, 12, "[::]:0", none, 0, tcpvet.CauseUnknown, true},
		{"no descriptor to accept by", accept, 24, "0.0.0.0:80", none, 0, tcpvet.CauseDescriptorLimit, true},
		{"given up by the peer", accept, 103, "0.0.0.0:80", none, 0, tcpvet.CauseUnknown, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := tcpvet.Event{Kind: tcpvet.EventFail, Call: test.call, Errno: test.errno, Cause: test.before,
				Local: netip.MustParseAddrPort(test.local), Remote: netip.MustParseAddrPort(test.remote)}
			finishCall(&e)
			if e.Cause != test.want || e.Remote.IsValid() == test.noRemote {
				t.Errorf("cause %q, remote %v; want %q", e.Cause, e.Remote, test.want)
			}
		})
	}
}
