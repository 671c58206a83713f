package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// live is a look at this machine: the sockets of a table, with what procfs
// tells of their holders and namespaces.
type live struct {
	table table
	fs    procfs.FS
}

// table reads the sockets of the network namespace that the calling thread is
// in, listeners first.
type table interface {
	name() string

	// facts gives those of want that the table tells about a socket.
	facts(want tcpvet.Facts) tcpvet.Facts

	// sockets hands each socket to yield. It ends with yield's error.
	sockets(ctx context.Context, q Query, yield func(*tcpvet.Socket) error) (outcome, error)
}

// outcome is how a reading of sockets went.
type outcome struct {
	changed      uint64 // sockets seen to change meanwhile
	inconsistent bool   // the kernel said that it was
	sockets      int    // of connections, listeners and the rest, where the table's buckets matter
}

// fromProcfs holds what procfs and rtnetlink tell beside the sockets.
const fromProcfs = tcpvet.FactHolders | tcpvet.FactContainers | tcpvet.FactNetns | tcpvet.FactPortRange | tcpvet.FactSysctls |
	tcpvet.FactCounters | tcpvet.FactAddresses | tcpvet.FactLimits | tcpvet.FactHosts | tcpvet.FactSysctlConf

func (l *live) Name() string { return l.table.name() }

func (l *live) Facts(want tcpvet.Facts) tcpvet.Facts {
	known := l.table.facts(want) | want&fromProcfs
	if want.Has(tcpvet.FactTableless) && tellsTableless() {
		known |= tcpvet.FactTableless
	}
	return known
}

func (l *live) Look(ctx context.Context, q Query, o tcpvet.Observer) error {
	o, end := l.remembered(q.Want, o)
	defer end()
	l.tellHost(q.Want, o)
	// Two passes over /proc that have nothing to do with each other.
	where := l.finding(q.Netns)
	a, err := l.attribution(ctx, q.Want, o)
	spaces, gaps, ferr := where()
	if ferr != nil {
		return ferr
	}
	if err != nil {
		return err
	}
	for _, g := range gaps {
		o.Gap(g)
	}
	v := &visit{live: l, q: q, a: a, o: withRoles(o), read: make(map[tcpvet.NetnsID]bool)}
	if err := netns.Each(ctx, spaces, func(f netns.Found, err error) error { return v.namespace(ctx, f, err) }); err != nil {
		return err
	}
	if err := v.tableless(ctx); err != nil {
		return err
	}
	a.end(o)
	if v.seen == 0 {
		return v.blind(len(spaces))
	}
	if v.inconsistent {
		return ErrInconsistent
	}
	return nil
}

// tellHost tells of the machine.
func (l *live) tellHost(want tcpvet.Facts, o tcpvet.Observer) {
	h := l.fs.HostInfo()
	if want.Has(tcpvet.FactSysctlConf) {
		var err error
		if h.Settings, err = l.fs.BootSettings(); err != nil {
			o.Gap(tcpvet.Gap{What: "settings files", Err: err.Error()})
		}
	}
	o.Host(h)
}

// finding begins to look for namespaces, and gives what waits for the result.
func (l *live) finding(want Namespaces) func() ([]netns.Found, []tcpvet.Gap, error) {
	if !want.All && len(want.Names) == 0 {
		// One's own is that of the calling thread.
		spaces, gaps, err := l.namespaces(want)
		return func() ([]netns.Found, []tcpvet.Gap, error) { return spaces, gaps, err }
	}
	var spaces []netns.Found
	var gaps []tcpvet.Gap
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		spaces, gaps, err = l.namespaces(want)
	}()
	return func() ([]netns.Found, []tcpvet.Gap, error) {
		<-done
		return spaces, gaps, err
	}
}

// namespaces finds what is to be looked at.
func (l *live) namespaces(want Namespaces) ([]netns.Found, []tcpvet.Gap, error) {
	if !want.All && len(want.Names) == 0 {
		id, err := netns.Self()
		if err != nil {
			return nil, nil, err
		}
		return []netns.Found{{ID: id}}, nil, nil
	}
	found, gaps, err := netns.Find(netns.Options{Root: l.fs.Root})
	if err != nil || want.All {
		return found, gaps, err
	}
	found, err = netns.Select(found, want.Names)
	return found, nil, err
}

// visit is one round through the namespaces.
type visit struct {
	*live
	q            Query
	a            *attribution
	o            *roles
	seen         int                     // namespaces whose sockets were read
	read         map[tcpvet.NetnsID]bool // which those are
	first        error                   // why the first of the others was not
	inconsistent bool
}

// namespace looks at one namespace, in which the calling thread is. What cannot
// be read there is a gap; the error is one of the observer or of ctx.
func (v *visit) namespace(ctx context.Context, f netns.Found, entry error) error {
	if entry != nil {
		v.missed(f, "sockets", entry)
		return nil
	}
	read := v.fs.SocketCounters
	if v.q.Want.Has(tcpvet.FactCounters) {
		read = v.fs.Counters
	}
	counters, err := read()
	if err != nil && v.q.Want.Has(tcpvet.FactCounters) {
		v.gap(f, "counters", err)
	}
	v.o.Netns(v.settings(f, counters))
	if v.q.Netns.All && v.empty(v.q, counters) {
		v.seen++
		v.read[f.ID] = true
		return nil
	}
	var broken error // of the observer
	done, err := v.table.sockets(ctx, v.q, func(s *tcpvet.Socket) error {
		s.Netns = f.ID
		v.a.attribute(s)
		broken = v.o.Socket(s)
		return broken
	})
	switch {
	case broken != nil:
		return broken
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		v.missed(f, "sockets", err)
		return nil
	}
	v.seen++
	v.read[f.ID] = true
	v.inconsistent = v.inconsistent || done.inconsistent
	if err := v.crowded(done.sockets); err != nil {
		v.gap(f, "some sockets", err)
	}
	if done.changed > 0 {
		v.o.Changed(done.changed)
	}
	return nil
}

// settings reads what is asked for about the namespace.
func (v *visit) settings(f netns.Found, counters map[string]uint64) tcpvet.Netns {
	n := tcpvet.Netns{ID: f.ID, Names: f.Names}
	want := v.q.Want
	if want.Has(tcpvet.FactCounters) {
		n.Counters = counters
	}
	if want&(tcpvet.FactSysctls|tcpvet.FactPortRange) != 0 {
		read := v.fs.PortSysctls
		if want.Has(tcpvet.FactSysctls) {
			read = v.fs.Sysctls
		}
		sysctls, err := read()
		if err != nil {
			v.gap(f, "settings", err)
		}
		if want.Has(tcpvet.FactSysctls) {
			n.Sysctls = sysctls
		}
		if n.Ports, err = procfs.PortsOf(sysctls); err != nil {
			v.gap(f, "port range", err)
		}
	}
	if want.Has(tcpvet.FactAddresses) {
		var err error
		if n.Addresses, err = procfs.Addresses(); err != nil {
			v.gap(f, "addresses", err)
		}
	}
	return n
}

// blind is the error where no namespace could be looked at.
func (v *visit) blind(spaces int) error {
	if v.first == nil {
		return fmt.Errorf("look at %d namespaces: %w", spaces, ErrBlind)
	}
	return fmt.Errorf("%w: %w", ErrBlind, v.first)
}

func (v *visit) missed(f netns.Found, what string, err error) {
	if v.first == nil {
		v.first = err
	}
	if errors.Is(err, netns.ErrGone) {
		return // with all that was in it: there is nothing to miss
	}
	v.gap(f, what, err)
}

func (v *visit) gap(f netns.Found, what string, err error) {
	var e *netns.EnterError
	if errors.As(err, &e) {
		g := e.Gap()
		g.What = what
		v.o.Gap(g)
		return
	}
	v.o.Gap(tcpvet.Gap{What: what, Where: "netns " + f.Name(), Netns: f.ID, Err: err.Error()})
}
