package scenarios

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
	"github.com/vishvananda/netlink"
)

// NoSourceAddress has connections fail with errno 99, and with errors that are taken
// for it, for want of an address and not of a port.
var NoSourceAddress = &lab.Scenario{
	Name:   "no-source-address",
	Title:  "errno 99 with every port free: the address itself cannot be had",
	Source: "ip(7), EADDRNOTAVAIL; RFC 4862, section 5.4; article: errno 99, cannot assign requested address",
	Needs:  []lab.Need{lab.Setting("net.ipv6.conf.all.disable_ipv6")},
	Acts:   []lab.Act{addressChooser, idleServer},

	Constants: []string{"ip -6 addr"},
	Play: func(ctx context.Context, s *lab.Stage) error {
		n := &noSource{Stage: s}
		return inOrder(ctx, n.open, n.foreign, n.tentative, n.others, n.diagnosis, n.ready)
	},
}

// noSource is a play of NoSourceAddress under way.
type noSource struct {
	*lab.Stage
	link   *lab.Link
	four   netip.AddrPort // the service by IPv4
	six    netip.AddrPort
	client *lab.Process
}

// sound is a hosts file in which there is nothing to find.
var sound = lab.Setup{Hosts: []string{"127.0.0.1 localhost"}}

func (n *noSource) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "Two hosts, and a client that can reach the server"}
	// No address by itself: the link is to have those that the story tells of.
	if err := n.Host.SetSysctl("net.ipv6.conf.default.addr_gen_mode", "1"); err != nil {
		return err
	}
	server, err := n.NewHost(ctx, "server")
	if err != nil {
		return err
	}
	if n.link, err = n.Link(ctx, n.Host, server, lab.LinkOptions{}); err != nil {
		return err
	}
	if !n.link.B.Addr6.IsValid() {
		return fmt.Errorf("give the hosts IPv6 addresses: this kernel has none")
	}
	n.four, n.six = netip.AddrPortFrom(n.link.B.Addr4, 8080), netip.AddrPortFrom(n.link.B.Addr6, 8080)
	listener, err := startServer(ctx, server, n.four, n.six)
	if err != nil {
		return err
	}
	if n.client, err = n.Host.StartWith(sound, addressChooser, "shop-client", n.four.String()); err != nil {
		return err
	}
	for _, to := range []netip.AddrPort{n.four, n.six} {
		if _, err := n.try(ctx, choice{To: to}, "", ""); err != nil {
			return err
		}
	}
	step.Done = []string{
		fmt.Sprintf("The client's host has the addresses %s and %s. stock-server (process %s) listens on %s and %s.",
			n.link.A.Addr4, n.link.A.Addr6, step.ID("server_pid", listener.PID), n.four, n.six),
		fmt.Sprintf("shop-client (process %s) connects to both, and closes.", step.ID("client_pid", n.client.PID)),
	}
	step.Shown = []string{"Both succeed."}
	n.Tell(step)
	return nil
}

// try connects, and makes sure that it fails in the way that is told; "" for that it
// does not.
func (n *noSource) try(ctx context.Context, order choice, call, errno string) (chosen, error) {
	var r chosen
	if err := n.client.Cue(ctx, chooserConnect, order, &r); err != nil {
		return r, err
	}
	return r, order.expect(r, call, errno)
}

func (c choice) expect(r chosen, call, errno string) error {
	if call != "" {
		if err := failsBy(r.Failure, call, errno); err != nil {
			return fmt.Errorf("from %v to %v: %w", c.From, c.To, err)
		}
	} else if r.Failure != nil {
		return fmt.Errorf("from %v to %v: %v", c.From, c.To, r.Failure)
	}
	return nil
}

// foreign binds to an address of another host.
func (n *noSource) foreign(ctx context.Context) error {
	step := lab.Step{Name: "foreign", Title: "An address that this host does not have"}
	order := choice{From: n.link.B.Addr4, To: n.four}
	r, err := n.try(ctx, order, "bind", "EADDRNOTAVAIL")
	if err != nil {
		return err
	}
	if err := set(n.Host, map[string]int{"ip_nonlocal_bind": 1}); err != nil {
		return err
	}
	if _, err := n.try(ctx, choice{From: order.From}, "", ""); err != nil {
		return err
	}
	if err := set(n.Host, map[string]int{"ip_nonlocal_bind": 0}); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client binds to %s before it connects, as one does whose configuration came from another machine, or names an address that a failover took away.", order.From)}
	step.Shown = []string{
		told(&step, r.Failure),
		fmt.Sprintf("With net.ipv4.ip_nonlocal_bind set to %s bind() succeeds. It is set back.", step.ID("nonlocal_bind", 1)),
	}
	step.Means = []string{"\"Cannot assign requested address\" says what it means here. It is bind() that fails, and not connect(): the call tells this from a range that is used up."}
	n.Tell(step)
	return nil
}

// tentative leaves the client's host with no IPv6 address that may be used.
func (n *noSource) tentative(ctx context.Context) error {
	step := lab.Step{Name: "tentative", Title: "A way, and no address to go it from"}
	a := n.link.A
	if err := n.Host.DelAddress(ctx, a.Interface, netip.PrefixFrom(a.Addr6, 64)); err != nil {
		return err
	}
	// A duplicate is looked for, and that does not end. lo has no ::1 to fall back on.
	for name, value := range map[string]string{a.Interface + ".accept_dad": "1", a.Interface + ".dad_transmits": "100000", "lo.disable_ipv6": "1"} {
		if err := n.Host.SetSysctl("net.ipv6.conf."+name, value); err != nil {
			return err
		}
	}
	err := n.Host.Do(func() error {
		link, err := netlink.LinkByName(a.Interface)
		if err != nil {
			return err
		}
		address, err := netlink.ParseAddr(netip.PrefixFrom(a.Addr6, 64).String())
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, address)
	})
	if err != nil {
		return fmt.Errorf("give %s the address %s: %w", a.Interface, a.Addr6, err)
	}
	r, err := n.try(ctx, choice{To: n.six}, "connect", "EADDRNOTAVAIL")
	if err != nil {
		return err
	}
	bound, err := n.try(ctx, choice{From: a.Addr6, To: n.six}, "bind", "EADDRNOTAVAIL")
	if err != nil {
		return err
	}
	if _, err := n.try(ctx, choice{To: n.four}, "", ""); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("The host gets its address %s anew, and has not made sure yet that no other host has it: ip -6 addr calls that tentative. It takes a second or so; here it does not end. lo has no ::1, since net.ipv6.conf.lo.disable_ipv6 is %s.",
			a.Addr6, step.ID("disable_ipv6", 1)),
		fmt.Sprintf("shop-client connects to %s.", n.six),
	}
	step.Shown = []string{told(&step, r.Failure), fmt.Sprintf("bind() to that address fails likewise: \"%v\". By IPv4 the server can be reached.", bound.Failure)}
	step.Means = []string{
		"There is a route, and no address to send from. This hits what starts with the network, and is gone a moment later.",
	}
	n.Tell(step)
	return nil
}

// others shows the errors that are taken for it.
func (n *noSource) others(ctx context.Context) error {
	step := lab.Step{Name: "others", Title: "What is something else"}
	loopback := netip.MustParseAddr("127.0.0.1")
	scope, err := n.try(ctx, choice{From: loopback, To: n.four}, "connect", "EINVAL")
	if err != nil {
		return err
	}
	away := netip.MustParseAddrPort("10.99.0.1:8080")
	route, err := n.try(ctx, choice{To: away}, "connect", "ENETUNREACH")
	if err != nil {
		return err
	}
	removed, err := n.removed(ctx)
	if err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("shop-client connects to %s from %s; to %s, to which there is no route; and from its address %s, that is taken away between bind() and connect().", n.four, loopback, away, n.link.A.Addr4)}
	step.Shown = []string{
		"From loopback: " + toldAs(&step, "scope_errno", scope.Failure),
		"Without a route: " + toldAs(&step, "route_errno", route.Failure),
		"From an address that is gone: " + toldAs(&step, "removed_errno", removed.Failure),
	}
	step.Means = []string{"Each of these is about addresses too, and none is EADDRNOTAVAIL. The number and the call that failed tell much; a text in a log often keeps neither."}
	n.Tell(step)
	return nil
}

// removed binds to an address, which is then replaced by another.
func (n *noSource) removed(ctx context.Context) (chosen, error) {
	a := n.link.A
	order := choice{From: a.Addr4, To: n.four}
	var r chosen
	if err := n.client.Cue(ctx, chooserBind, order, &r); err != nil {
		return r, err
	}
	if err := order.expect(r, "", ""); err != nil {
		return r, err
	}
	own, other := netip.PrefixFrom(a.Addr4, 24), netip.PrefixFrom(n.link.B.Addr4.Next(), 24)
	if err := n.Host.DelAddress(ctx, a.Interface, own); err != nil {
		return r, err
	}
	if err := n.Host.AddAddress(ctx, a.Interface, other); err != nil {
		return r, err
	}
	if err := n.client.Cue(ctx, chooserGo, order, &r); err != nil {
		return r, err
	}
	if err := order.expect(r, "connect", "ENETUNREACH"); err != nil {
		return r, err
	}
	if err := n.Host.DelAddress(ctx, a.Interface, other); err != nil {
		return r, err
	}
	return r, n.Host.AddAddress(ctx, a.Interface, own)
}

// toldAs gives a failure as a program tells it, with its number under a name.
func toldAs(step *lab.Step, number string, f *failure) string {
	return fmt.Sprintf("\"%v\" (errno %s, %s)", f, step.ID(number, f.Errno), f.name())
}

func (n *noSource) diagnosis(ctx context.Context) error {
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says"}
	six, err := n.Settled(ctx, n.six, "the connections to be closed", func(e lab.Ends) bool { return e.Client[tcpvet.Established] == 0 })
	if err != nil {
		return err
	}
	if err := n.Judge(ctx, &step, lab.Expect{}); err != nil {
		return err
	}
	step.Ends = &six
	step.Shown = []string{fmt.Sprintf("A connect() that fails for want of an address leaves nothing in the tables. What there is of %s comes from the connects that succeeded:", n.six)}
	step.Means = []string{"So nothing is found. tcpvet why tries to connect in the program's place, and says which of these causes it is."}
	n.Tell(step)
	return nil
}

// ready ends the search for a duplicate.
func (n *noSource) ready(ctx context.Context) error {
	step := lab.Step{Name: "ready", Title: "The address may be used"}
	a := n.link.A
	if err := n.Host.DelAddress(ctx, a.Interface, netip.PrefixFrom(a.Addr6, 64)); err != nil {
		return err
	}
	if err := n.Host.AddAddress(ctx, a.Interface, netip.PrefixFrom(a.Addr6, 64)); err != nil {
		return err
	}
	r, err := n.try(ctx, choice{To: n.six}, "", "")
	if err != nil {
		return err
	}
	if r.Source != a.Addr6 {
		return fmt.Errorf("connect to %s from %s, not from %s", n.six, r.Source, a.Addr6)
	}
	step.Done = []string{fmt.Sprintf("The search ends: %s is the host's. The client connects as before.", a.Addr6)}
	step.Shown = []string{fmt.Sprintf("It succeeds, from %s.", r.Source)}
	step.Means = []string{"A program that starts with the network should try again. Wider port ranges and settings of TIME-WAIT have no part in any of this."}
	n.Tell(step)
	return nil
}
