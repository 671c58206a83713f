package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Port is the end of a link at one host: an interface and its addresses.
type Port struct {
	Host      *Host
	Interface string
	Addr4     netip.Addr
	Addr6     netip.Addr // the zero value where the kernel has no IPv6
}

// Link is a cable between two hosts.
type Link struct{ A, B Port }

// LinkOptions are a link's choices. The zero value works.
type LinkOptions struct {
	MTU int // bytes; 0 means 1500
}

const defaultMTU = 1500

func (o LinkOptions) mtu() int {
	if o.MTU == 0 {
		return defaultMTU
	}
	return o.MTU
}

// Link joins two hosts by a pair of veth interfaces. The n-th link of a stage
// has the networks 10.77.n.0/24 and fd77:n::/64, in which a has address 1 and b
// address 2.
func (s *Stage) Link(ctx context.Context, a, b *Host, o LinkOptions) (*Link, error) {
	link := s.plan(a, b)
	if err := s.cable(ctx, link, o); err != nil {
		return nil, fmt.Errorf("link %s and %s: %w", a.Name, b.Name, err)
	}
	return link, nil
}

// plan names the interfaces of a new link and gives it addresses.
func (s *Stage) plan(a, b *Host) *Link {
	s.links++
	port := func(h *Host, end byte) Port {
		name := fmt.Sprintf("eth%d", h.interfaces)
		h.interfaces++
		six := netip.MustParseAddr("fd77::").As16()
		six[3], six[15] = byte(s.links), end
		return Port{h, name, netip.AddrFrom4([4]byte{10, 77, byte(s.links), end}), netip.AddrFrom16(six)}
	}
	return &Link{port(a, 1), port(b, 2)}
}

func (s *Stage) cable(ctx context.Context, link *Link, o LinkOptions) error {
	var peer *os.File
	err := link.B.Host.Do(func() (err error) {
		peer, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return err
	}
	defer peer.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = link.A.Interface, o.mtu()
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: link.B.Interface, PeerMTU: uint32(o.mtu()), PeerNamespace: netlink.NsFd(peer.Fd())}
	if err := link.A.Host.Do(func() error { return netlink.LinkAdd(pair) }); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	for _, p := range []*Port{&link.A, &link.B} {
		if err := p.address(ctx); err != nil {
			return err
		}
	}
	for _, p := range []*Port{&link.A, &link.B} {
		// Until then the kernel drops what is sent.
		err := Until(ctx, "the carrier of "+p.Interface, func() (up bool, err error) {
			err = p.Host.Do(func() error {
				l, err := netlink.LinkByName(p.Interface)
				up = err == nil && l.Attrs().OperState == netlink.OperUp
				return err
			})
			return up, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// address gives the interface its addresses and raises it.
func (p *Port) address(ctx context.Context) error {
	err := p.Host.onInterface(p.Interface, func(l netlink.Link) error { return netlink.LinkSetUp(l) })
	if err != nil {
		return fmt.Errorf("raise %s of %s: %w", p.Interface, p.Host.Name, err)
	}
	if err := p.Host.AddAddress(ctx, p.Interface, netip.PrefixFrom(p.Addr4, 24)); err != nil {
		return err
	}
	switch err := p.Host.AddAddress(ctx, p.Interface, netip.PrefixFrom(p.Addr6, 64)); {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EACCES):
		p.Addr6 = netip.Addr{} // a kernel without IPv6, or with ipv6.disable=1
	case err != nil:
		return err
	}
	return nil
}

func (h *Host) setMTU(device string, bytes int) error {
	return h.onInterface(device, func(l netlink.Link) error {
		if err := netlink.LinkSetMTU(l, bytes); err != nil {
			return fmt.Errorf("set the MTU of %s of %s to %d: %w", device, h.Name, bytes, err)
		}
		return nil
	})
}

// AddAddress gives an interface that is up an address, and returns once the host
// takes what is sent to it. No duplicate of it is looked for.
func (h *Host) AddAddress(ctx context.Context, device string, address netip.Prefix) error {
	err := h.onInterface(device, func(l netlink.Link) error {
		a := &netlink.Addr{IPNet: ipNet(address)}
		if address.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		return netlink.AddrAdd(l, a)
	})
	if err != nil {
		return fmt.Errorf("give %s of %s the address %s: %w", device, h.Name, address, err)
	}
	// The kernel adds the local route of an IPv6 address later, by a work
	// queue (addrconf_dad_work).
	return Until(ctx, fmt.Sprintf("%s to be an address of %s", address.Addr(), h.Name), func() (local bool, err error) {
		err = h.Do(func() error {
			routes, err := netlink.RouteGet(address.Addr().AsSlice())
			local = err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
			return nil // there may be no route at all yet
		})
		return local, err
	})
}

// DelAddress takes an address away.
func (h *Host) DelAddress(_ context.Context, device string, address netip.Prefix) error {
	return h.onInterface(device, func(l netlink.Link) error {
		if err := netlink.AddrDel(l, &netlink.Addr{IPNet: ipNet(address)}); err != nil {
			return fmt.Errorf("take the address %s from %s of %s: %w", address, device, h.Name, err)
		}
		return nil
	})
}

// AddRoute sends what goes to a network by an interface, via a neighbour or,
// with the zero Addr, straight.
func (h *Host) AddRoute(_ context.Context, to netip.Prefix, device string, via netip.Addr) error {
	return h.onInterface(device, func(l netlink.Link) error {
		r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(to)}
		if via.IsValid() {
			r.Gw = via.AsSlice()
		}
		if err := netlink.RouteAdd(r); err != nil {
			return fmt.Errorf("add a route to %s by %s of %s: %w", to, device, h.Name, err)
		}
		return nil
	})
}

// onInterface calls f on the host's thread.
func (h *Host) onInterface(device string, f func(netlink.Link) error) error {
	return h.Do(func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return fmt.Errorf("find the interface %s of %s: %w", device, h.Name, err)
		}
		return f(l)
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
