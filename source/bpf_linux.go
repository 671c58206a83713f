package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// iterators is a look at this machine by BPF iterators. One pass over the
// descriptors of all processes gives the sockets of every namespace with who holds
// them; one pass in each namespace gives what no descriptor holds.
type iterators struct {
	live
	stream *bpfiter.Stream // loaded for the next look
}

// openIterators does not load anything yet.
func openIterators() (*iterators, error) {
	if err := probeBPF(); err != nil {
		return nil, fmt.Errorf("open source bpf: %w; try netlink", err)
	}
	return newIterators(), nil
}

func newIterators() *iterators { return &iterators{live: live{table: iterated{}}} }

// What tests replace: no machine lacks everything.
var (
	probeBPF   = bpfiter.Probe
	newStream  = bpfiter.NewStream
	newCounter = bpfiter.NewCounter
)

// iterated is what the iterators tell of a socket. Listeners are read by sock_diag
// as well: it lists them alone, without a walk through the connections.
type iterated struct{ netlink }

func (iterated) name() string { return "bpf" }

func (iterated) facts(want tcpvet.Facts) tcpvet.Facts {
	return want & (netlinkFacts | tcpvet.FactBound)
}

func (l *iterators) Facts(want tcpvet.Facts) tcpvet.Facts {
	return l.table.facts(want) | want&(fromProcfs|tcpvet.FactTableless)
}

// loadError says that the kernel did not take the programs. Nothing was told to an
// observer yet.
type loadError struct{ err error }

func (e *loadError) Error() string { return "look by bpf: " + e.err.Error() }
func (e *loadError) Unwrap() error { return e.err }

// round is one look by iterators.
type round struct {
	*visit
	counts  map[tcpvet.Process]descriptors
	found   []netns.Found
	only    map[tcpvet.NetnsID]bool // nil for all
	spaces  map[tcpvet.NetnsID]telling
	entered map[tcpvet.NetnsID]bool // and not known to be empty
	partial map[tcpvet.NetnsID]bool // what no descriptor holds was not read: a gap says so
	gone    map[tcpvet.NetnsID]bool // nothing led to it when it was to be entered
	later   bool                    // the pass began after namespaces were entered
	hidden  bool                    // the namespaces of some processes could not be read: a gap says so
	holders bool                    // asked for
	broken  error                   // of the observer
	changed uint64                  // sockets that a pass saw change
	closed  uint64                  // those that the kernel saw close, 0 where it does not tell

	progress func(sockets uint64)
}

// begin tells the host and finds the namespaces.
func (l *iterators) begin(ctx context.Context, q Query, o tcpvet.Observer) (*round, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.tellHost(q.Want, o)
	found, gaps, err := l.namespaces(q.Netns)
	if err != nil {
		return nil, err
	}
	for _, g := range gaps {
		o.Gap(g)
	}
	r := &round{
		visit: &visit{live: &l.live, q: q, o: withRoles(o), read: make(map[tcpvet.NetnsID]bool)},
		found: found, hidden: len(gaps) > 0, holders: q.Want&ofHolders != 0, progress: func(uint64) {},
		spaces: make(map[tcpvet.NetnsID]telling), entered: make(map[tcpvet.NetnsID]bool),
		partial: make(map[tcpvet.NetnsID]bool), gone: make(map[tcpvet.NetnsID]bool),
	}
	if !q.Netns.All {
		r.only = make(map[tcpvet.NetnsID]bool)
		for _, f := range found {
			r.only[f.ID] = true
		}
	}
	r.a = &attribution{
		processes: procfs.Processes{FS: l.fs, Hosts: q.Want.Has(tcpvet.FactHosts)},
		told:      make(map[tcpvet.Process]bool), o: o, tableless: q.Want.Has(tcpvet.FactTableless),
	}
	return r, nil
}

// counts is what a pass over all descriptors counts of each process.
type counts interface {
	Processes(yield func(tcpvet.Process, bpfiter.Process) error) error
}

// count keeps what was counted of processes.
func (r *round) count(from counts) error {
	r.counts = make(map[tcpvet.Process]descriptors)
	err := from.Processes(func(p tcpvet.Process, c bpfiter.Process) error {
		n := descriptors{Counts: procfs.Counts{Descriptors: c.Descriptors, Sockets: c.Sockets, LeaderExited: c.LeaderExited}}
		if r.a.tableless {
			n.tableless = &c.Tableless
		}
		r.counts[p] = n
		return nil
	})
	r.a.counted = func(p tcpvet.Process) (descriptors, bool) { c, ok := r.counts[p]; return c, ok }
	return err
}

// wants tells whether a namespace is looked at.
func (r *round) wants(id tcpvet.NetnsID) bool { return r.only == nil || r.only[id] }

// enter tells the settings of a namespace, in which the calling thread is, and
// whether it may have sockets.
func (r *round) enter(f netns.Found) (n tcpvet.Netns, sockets bool) {
	read := r.fs.SocketCounters
	if r.q.Want.Has(tcpvet.FactCounters) {
		read = r.fs.Counters
	}
	counters, err := read()
	if err != nil && r.q.Want.Has(tcpvet.FactCounters) {
		r.gap(f, "counters", err)
	}
	n = r.settings(f, counters)
	r.o.Netns(n)
	r.spaces[f.ID], r.read[f.ID] = told, true
	r.seen++
	// Those that are merely bound have a descriptor.
	sockets = !r.q.Netns.All || !procfs.NoTCP(counters)
	r.entered[f.ID] = sockets
	return n, sockets
}

// listeners reads those of the namespace that the calling thread is in.
func (r *round) listeners(ctx context.Context, yield func(*tcpvet.Socket) error) error {
	q := Query{States: tcpvet.SetOf(tcpvet.Listen)}
	if reachable() != nil {
		_, err := proc{}.sockets(ctx, q, yield)
		return err
	}
	_, err := r.table.sockets(ctx, q, yield)
	return err
}

// attribute makes the holders of a socket what was asked for. Unless the processes
// are told later it tells them.
func (r *round) attribute(s *tcpvet.Socket) {
	if !r.holders {
		if s.Holder.Known() {
			s.Holder = tcpvet.Unseen
		}
		s.SharedWith = nil
		return
	}
	if s.Holder == tcpvet.Unseen {
		r.a.unseen++
	}
}

// tell tells the processes that hold a socket.
func (r *round) tell(s *tcpvet.Socket) {
	if s.Holder.Known() {
		r.a.tell(s.Holder)
	}
	for _, p := range s.SharedWith {
		r.a.tell(p)
	}
}

// took keeps what a pass came to.
func (r *round) took(st bpfiter.Stats) {
	r.progress(st.Sockets)
	r.changed += st.Changed + st.Skipped
	if st.Untold > 0 && r.holders {
		r.o.Gap(tcpvet.Gap{
			What: "counts of descriptors", Count: int(st.Untold),
			Err: "the kernel's table of processes was full; who holds a socket is known nevertheless",
		})
	}
	if st.Overflow > 0 {
		r.o.Gap(tcpvet.Gap{
			What: "counts in the kernel",
			Err:  fmt.Sprintf("a table was full, so %d sockets were told and counted one by one; none is missing for it", st.Overflow),
		})
	}
}

// failed gives the error of a pass.
func (r *round) failed(ctx context.Context, err error) error {
	switch {
	case r.broken != nil:
		return r.broken
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// finish tells of processes whose sockets are in no table, and what is open.
func (r *round) finish(ctx context.Context) error {
	if r.a.tableless {
		for p, c := range r.counts {
			if c.tableless.Total() == 0 || r.a.told[p] {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if info, err := r.a.info(p); err == nil && r.read[info.Netns] {
				r.a.told[p] = true
				r.o.Process(p, info)
			}
		}
	}
	if n := max(r.changed, r.closed); n > 0 {
		r.o.Changed(n)
	}
	r.a.end(r.o)
	return nil
}

// unloaded tells whether err says that the kernel did not take the programs.
func unloaded(err error) bool {
	var e *loadError
	return errors.As(err, &e)
}
