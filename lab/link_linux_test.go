package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pair starts a peer that listens on each address of the far host, and one that
// connects.
func pair(ctx context.Context, near, far *Host, on ...netip.AddrPort) (client *Process, err error) {
	server, err := far.Start(peerAct, "server")
	if err != nil {
		return nil, err
	}
	for _, a := range on {
		if err := server.Cue(ctx, "listen", a, &struct{}{}); err != nil {
			return nil, err
		}
	}
	return near.Start(peerAct, "client")
}

// echo connects, sends a word and closes.
func echo(ctx context.Context, client *Process, to netip.AddrPort) error {
	var o outcome
	if err := client.Cue(ctx, "connect", to, &o); err != nil {
		return err
	}
	if err := o.ok(""); err != nil {
		return fmt.Errorf("connect to %s: %w", to, err)
	}
	if err := client.Cue(ctx, "send", "hello", &o); err != nil {
		return err
	}
	if err := o.ok("hello"); err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return client.Cue(ctx, "close", struct{}{}, &o)
}

// playLinks joins three hosts in a row.
func playLinks(ctx context.Context, s *Stage) error {
	middle, err := s.NewHost(ctx, "middle")
	if err != nil {
		return err
	}
	far, err := s.NewHost(ctx, "far")
	if err != nil {
		return err
	}
	first, err := s.Link(ctx, s.Host, middle, LinkOptions{})
	if err != nil {
		return err
	}
	second, err := s.Link(ctx, middle, far, LinkOptions{MTU: 1400})
	if err != nil {
		return err
	}
	if got, want := fmt.Sprint(first.A.Addr4, first.B.Addr6, second.A.Addr4, second.B.Addr6, "/"+second.A.Interface), "10.77.1.1 fd77:1::2 10.77.2.1 fd77:2::2/eth1"; got != want {
		return fmt.Errorf("the ends are %s, want %s", got, want)
	}

	var numbers []string
	for _, h := range s.hosts {
		id, err := h.Netns()
		if err != nil {
			return err
		}
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", h.PID))
		if err != nil || link != fmt.Sprintf("net:[%d]", id) {
			return fmt.Errorf("%s has namespace %d, and its process %d %s, %v", h.Name, id, h.PID, link, err)
		}
		numbers = append(numbers, link)
	}
	if len(sorted(numbers)) != 3 {
		return fmt.Errorf("three hosts have the namespaces %v", numbers)
	}
	if own, err := os.Readlink("/proc/self/ns/net"); err != nil || own != numbers[0] {
		return fmt.Errorf("the stage itself is in %s, %v, and its host in %s", own, err, numbers[0])
	}

	// Both families cross the first link.
	on4, on6 := netip.AddrPortFrom(first.B.Addr4, 80), netip.AddrPortFrom(first.B.Addr6, 80)
	client, err := pair(ctx, s.Host, middle, on4, on6)
	if err != nil {
		return err
	}
	for _, to := range []netip.AddrPort{on4, on6} {
		if err := echo(ctx, client, to); err != nil {
			return err
		}
	}

	// The far host is beyond a router.
	beyond := netip.AddrPortFrom(second.B.Addr4, 80)
	if _, err := pair(ctx, s.Host, far, beyond); err != nil {
		return err
	}
	var o outcome
	if err := client.Cue(ctx, "connect", beyond, &o); err != nil || o.Errno != int(unix.ENETUNREACH) {
		return fmt.Errorf("connect without a route: got %+v, %v, want ENETUNREACH", o, err)
	}
	if err := middle.SetSysctl("net.ipv4.ip_forward", "1"); err != nil {
		return err
	}
	if err := s.Host.AddRoute(ctx, netip.PrefixFrom(second.B.Addr4, 24).Masked(), first.A.Interface, first.B.Addr4); err != nil {
		return err
	}
	if err := far.AddRoute(ctx, netip.PrefixFrom(first.A.Addr4, 24).Masked(), second.B.Interface, second.A.Addr4); err != nil {
		return err
	}
	if err := echo(ctx, client, beyond); err != nil {
		return err
	}

	// An address more, and gone again.
	more := netip.MustParsePrefix("10.99.0.1/32")
	if err := middle.AddAddress(ctx, "lo", more); err != nil {
		return err
	}
	if err := s.Host.AddRoute(ctx, more, first.A.Interface, netip.Addr{}); err != nil {
		return err
	}
	extra := netip.AddrPortFrom(more.Addr(), 81)
	if client, err = pair(ctx, s.Host, middle, extra); err != nil {
		return err
	}
	if err := echo(ctx, client, extra); err != nil {
		return err
	}
	if err := middle.DelAddress(ctx, "lo", more); err != nil {
		return err
	}
	if err := middle.DelAddress(ctx, "lo", more); !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("take an address away twice: got %v", err)
	}
	if err := middle.AddAddress(ctx, "eth9", more); err == nil || !strings.Contains(err.Error(), "eth9 of middle") {
		return fmt.Errorf("an address for no interface: got %v", err)
	}

	// Settings are each host's own.
	if err := far.SetPortRange(50000, 50001); err != nil {
		return err
	}
	if got, err := middle.Sysctl("net.ipv4.ip_local_port_range"); err != nil || got == "50000 50001" {
		return fmt.Errorf("another host has the range %q, %v", got, err)
	}
	mtu, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", far.PID))
	if err != nil || !strings.Contains(string(mtu), "eth0:") {
		return fmt.Errorf("the far host has the interfaces %s, %v", mtu, err)
	}
	return nil
}

func TestLinks(t *testing.T) {
	onStage(t)
	output(t, run("links"))
}
