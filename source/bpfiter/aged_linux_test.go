package bpfiter_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// Groups of many sockets whose ages differ, connections whose peer is silent,
// TIME-WAITs that can be used again and others that cannot, ports that are reserved,
// and connections whose listener has been closed.
func TestRootCounterAgreesOnAges(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	kerneltest.Need(t, kernel.IPv6)
	inhabit(t)
	run(t, "ip", "address", "add", "10.9.8.7/32", "dev", "lo")
	sysctl(t, "ipv4/ip_local_port_range", "40000 49999")
	sysctl(t, "ipv4/ip_local_reserved_ports", "45000-45003,47007")
	sysctl(t, "ipv4/tcp_tw_reuse", "2")
	loopback, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.9.8.7")

	// So that the ages are not those of one tick.
	apart := func() { time.Sleep(15 * time.Millisecond) }
	both, at6 := listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), 8000), 64)
	at := netip.AddrPortFrom(loopback, at6.Port())
	for i := range 24 {
		c, s := pair(t, both, at)
		switch i % 4 {
		case 0: // ESTAB
		case 1:
			must(t, unix.SetsockoptInt(c, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
			must(t, unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, []int{15, 60, 300, 3600, 32767, 45}[i/4]))
		case 2:
			must(t, unix.Shutdown(s, unix.SHUT_WR))
		case 3:
			write(t, c, "unread, of many lengths"[:i])
		}
		apart()
	}
	// One tuple of IPv4, from sockets of either family, on ports that are reserved.
	pairFrom(t, netip.AddrPortFrom(loopback, 45001), both, at)
	pairFrom(t, netip.AddrPortFrom(netip.AddrFrom16(loopback.As16()), 47007), both, netip.AddrPortFrom(netip.AddrFrom16(loopback.As16()), 8000))
	pairFrom(t, netip.AddrPortFrom(loopback, 39999), both, at) // outside of the range
	pairFrom(t, netip.AddrPortFrom(loopback, 50000), both, at)
	pairFrom(t, netip.MustParseAddrPort("127.0.0.9:41000"), both, at)
	pairFrom(t, netip.MustParseAddrPort("127.0.0.9:41001"), both, at)
	c6, s6 := pair(t, both, netip.AddrPortFrom(netip.IPv6Loopback(), 8000))
	write(t, s6, "x")
	must(t, unix.Shutdown(s6, unix.SHUT_WR))
	write(t, c6, "written after the FIN")

	// TIME-WAITs, on loopback and elsewhere.
	for range 3 {
		for _, to := range []netip.Addr{loopback, other, netip.IPv6Loopback()} {
			c, s := pair(t, both, netip.AddrPortFrom(to, 8000))
			closed(t, c)
			read(t, s, "")
			closed(t, s)
			apart()
		}
	}
	// A port of the range that listened, and whose connections tell that they were
	// accepted.
	for _, port := range []uint16{46000, 46001} {
		gone, was := listen(t, netip.AddrPortFrom(loopback, port), 8)
		for range 2 {
			c, s := pair(t, gone, was)
			write(t, c, "question")
			read(t, s, "question")
			write(t, s, "answer")
			read(t, c, "answer")
			if port == 46001 {
				must(t, unix.Shutdown(s, unix.SHUT_WR)) // FIN-WAIT-2 of a server
			}
		}
		closed(t, gone)
	}

	// Connections whose segments no longer arrive.
	mute, muted := listen(t, netip.AddrPortFrom(loopback, 8001), 8)
	var talkers []int
	for i := range 3 {
		c, s := pair(t, mute, muted)
		if i < 2 {
			talkers = append(talkers, c)
		} else {
			must(t, unix.SetsockoptInt(c, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
			must(t, unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1))
			must(t, unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1))
			must(t, unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 100))
		}
		write(t, s, "x")
		read(t, c, "x")
		apart()
	}
	clients := func(c *tcpvet.Census) *tcpvet.Tally {
		for g, tally := range c.Groups {
			if g.Role == tcpvet.Client && g.Service == muted {
				return tally
			}
		}
		return nil
	}
	run(t, "nft", "add table ip mute; add chain ip mute in { type filter hook input priority 0; }; "+
		"add rule ip mute in tcp dport 8001 drop; add rule ip mute in tcp sport 8001 drop")
	for _, fd := range talkers {
		write(t, fd, "into the void")
		apart()
	}
	var before tcpvet.Census
	until(t, "what is sent twice, probed twice, and TIME-WAITs older than a second", func() bool {
		before = byNetlink(t, judged)
		c := clients(&before)
		reusable := uint32(0)
		for tu, b := range before.Tuples {
			if tu.Local == loopback && tu.Remote == at {
				reusable = b.ReusableTimeWait
			}
		}
		return c != nil && c.Stalled != nil && c.Stalled.Twice[tcpvet.Established] == 2 && c.Stalled.ProbedTwice == 1 && reusable == 3
	})
	got := count(t, bpfiter.Options{Info: true}, &before)
	after := byNetlink(t, judged)
	agree(t, &before, &after, &got)
	x, lo, hi := clients(&got.Census), clients(&before), clients(&after)
	if x == nil || x.Stalled == nil {
		t.Fatalf("clients of the mute service: %+v", x)
	}
	equal(t, "sent twice", x.Stalled.Twice, hi.Stalled.Twice)
	equal(t, "probed twice", x.Stalled.ProbedTwice, hi.Stalled.ProbedTwice)
	sameTimes(t, "silent", &x.Stalled.Silent, &lo.Stalled.Silent, &hi.Stalled.Silent)
	sameTimes(t, "silent to probes", &x.Stalled.SilentProbed, &lo.Stalled.SilentProbed, &hi.Stalled.SilentProbed)
	for _, two := range [][2]*tcpvet.Stall{{x.Stalled.Longest, hi.Stalled.Longest}, {x.Stalled.LongestProbed, hi.Stalled.LongestProbed}} {
		equal(t, "longest silent", two[0].Cookie, two[1].Cookie)
		equal(t, "its queue", two[0].Queued, two[1].Queued)
		equal(t, "its timer", two[0].Timer.Kind, two[1].Timer.Kind)
	}
	// Of a group of many the oldest is chosen. Each age is read at its own moment, so
	// a reader that is held up may take the second for it: then both look again.
	until(t, "the same oldest ones", func() bool {
		after, got := byNetlink(t, judged), count(t, bpfiter.Options{Info: true}, &before)
		chosen := 0
		for g, tally := range got.Groups {
			for _, two := range [][2]*tcpvet.Exemplar{{tally.Oldest, after.Groups[g].Oldest}, {tally.MostIdle, after.Groups[g].MostIdle}} {
				if two[0] == nil || tally.Total() < 8 {
					continue
				}
				if chosen++; two[0].Cookie != two[1].Cookie {
					t.Logf("of %v: %+v, %+v by netlink", g, two[0], two[1])
					return false
				}
			}
		}
		return chosen > 1
	})

	// Without tcp_info the same, less what rests on it.
	const plain = judged &^ tcpvet.FactInfo
	before = byNetlink(t, plain)
	got = count(t, bpfiter.Options{}, &before)
	after = byNetlink(t, plain)
	agree(t, &before, &after, &got)
}
