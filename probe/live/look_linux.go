package live

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// extent is how much of a namespace is read. Each holds those before.
type extent uint8

const (
	ofSettings  extent = iota // settings, addresses, and listeners
	ofListeners               // who holds the listeners
	ofPorts                   // every socket, and who holds it
)

// query asks for as much.
func (x extent) query() source.Query {
	const settings = tcpvet.FactListeners | tcpvet.FactPortRange | tcpvet.FactSysctls | tcpvet.FactAddresses
	const holders = settings | tcpvet.FactHolders | tcpvet.FactContainers | tcpvet.FactLimits
	switch x {
	case ofSettings:
		return source.Query{States: tcpvet.SetOf(tcpvet.Listen), Want: settings}
	case ofListeners:
		return source.Query{States: tcpvet.SetOf(tcpvet.Listen), Want: holders}
	}
	return source.Query{Want: holders | tcpvet.FactBound}
}

// look reads what is in the namespace, and keeps in on what has the port that it
// asks for. The error is that of ctx, or says that no socket could be seen.
func look(ctx context.Context, src source.Source, id tcpvet.NetnsID, x extent, on *onPort) (tcpvet.Census, error) {
	query := x.query()
	if self, err := netns.Self(); err != nil || self != id {
		query.Netns = source.Namespaces{Names: []string{strconv.FormatUint(uint64(id), 10)}}
	}
	var opt source.TakeOptions
	if on.port != 0 {
		opt.Watch = on.watch
	}
	c, err := source.Take(ctx, src, query, opt)
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	return c, err
}

// ground is what is read on a thread that is in the namespace.
type ground struct {
	loopbackUp, linksKnown bool
	unprivileged           string // the first port that any program may bind, "" where not known
}

func readGround() (g ground) {
	g.loopbackUp, g.linksKnown = loopbackUp()
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
		g.unprivileged = strings.TrimSpace(string(text))
	}
	return g
}

// scene puts it beside what was looked at.
func (g ground) scene(c *tcpvet.Census, id tcpvet.NetnsID) probe.Scene {
	if n := c.Netns[id]; n.Sysctls != nil && g.unprivileged != "" {
		n.Sysctls["net.ipv4.ip_unprivileged_port_start"] = g.unprivileged
	}
	return probe.Scene{Census: c, Netns: id, LoopbackUp: g.loopbackUp, LinksKnown: g.linksKnown}
}

// abroad tells whether the end of an attempt hangs on who listens on its target, and
// that is not in the namespace.
func abroad(s *probe.Scene, a *probe.Attempt) bool {
	answered := a.Errno == probe.ECONNREFUSED || a.Errno == probe.ETIMEDOUT || a.GaveUp
	return answered && a.Step == probe.StepConnect && !s.Route.Local
}

// others looks at the listeners and addresses of every namespace that can be
// entered, nil where that is not possible. Who holds the listeners it finds out where
// another one than id has the address.
func others(ctx context.Context, src source.Source, id tcpvet.NetnsID, addr netip.Addr) *tcpvet.Census {
	query := ofSettings.query()
	query.Want = tcpvet.FactListeners | tcpvet.FactAddresses
	query.Netns = source.Namespaces{All: true}
	c, err := source.Take(ctx, src, query, source.TakeOptions{})
	if err == nil && hasElsewhere(&c, id, addr) {
		query.Want |= tcpvet.FactHolders
		c, err = source.Take(ctx, src, query, source.TakeOptions{})
	}
	if err != nil {
		return nil // what it would have told is left open
	}
	return &c
}

// hasElsewhere tells whether another namespace than id has the address.
func hasElsewhere(c *tcpvet.Census, id tcpvet.NetnsID, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for other, n := range c.Netns {
		if other != id && slices.ContainsFunc(n.Addresses, func(a tcpvet.Address) bool { return a.Prefix.Addr() == addr }) {
			return true
		}
	}
	return false
}

func insertFailedNow() uint64 {
	text, err := read("/proc/thread-self/net/stat/nf_conntrack")
	if err != nil {
		return 0 // without conntrack, or not allowed: nothing is told of it
	}
	return insertFailed(text)
}

// process finds the process of a PID, and puts what is known of it into the Census
// where it holds no socket in that namespace.
func process(c *tcpvet.Census, pid int32) (tcpvet.Process, error) {
	for p := range c.Processes {
		if p.PID == pid {
			return p, nil
		}
	}
	p, counts, err := procfs.FS{}.Descriptors(pid)
	if err != nil {
		return tcpvet.Process{}, err
	}
	info, err := procfs.FS{}.ProcessInfo(p)
	if err != nil {
		return tcpvet.Process{}, err
	}
	info.Descriptors, info.Sockets, info.LeaderExited = counts.Descriptors, counts.Sockets, counts.LeaderExited
	if c.Processes == nil {
		c.Processes = map[tcpvet.Process]tcpvet.ProcessInfo{}
	}
	c.Processes[p] = info
	return p, nil
}
