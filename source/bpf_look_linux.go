package source

import (
	"context"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// load loads what tells sockets one by one.
func (l *iterators) load() error {
	if l.stream != nil {
		return nil
	}
	st, err := newStream()
	if err != nil {
		return &loadError{err}
	}
	l.stream = st
	return nil
}

// Look tells every namespace with its listeners, then the other sockets that
// descriptors hold, in the order of the processes, then what nobody holds by
// namespace.
func (l *iterators) Look(ctx context.Context, q Query, o tcpvet.Observer) error {
	if err := l.load(); err != nil {
		return err
	}
	st := l.stream
	l.stream = nil
	defer st.Close()
	o, end := l.remembered(q.Want, o)
	defer end()
	r, err := l.begin(ctx, q, o)
	if err != nil {
		return err
	}
	held, err := r.heldListeners(ctx, st)
	if err != nil {
		return r.failed(ctx, err)
	}
	if err := netns.Each(ctx, r.found, func(f netns.Found, err error) error { return r.tellNetns(ctx, st, f, err, held) }); err != nil {
		return r.failed(ctx, err)
	}
	if err := r.tellListeners(held); err != nil {
		return err
	}
	if states := q.states() &^ tcpvet.SetOf(tcpvet.Listen); states != 0 {
		r.later = true
		stats, err := st.Held(ctx, states, r.socket)
		if err != nil {
			return r.failed(ctx, err)
		}
		r.took(stats)
		err = netns.Each(ctx, r.found, func(f netns.Found, err error) error {
			if err != nil || !r.entered[f.ID] {
				return nil // the gap was told
			}
			stats, err := st.Rest(ctx, states, r.socket)
			if r.broken != nil || ctx.Err() != nil {
				return r.failed(ctx, err)
			}
			if err != nil {
				r.unrested(f, err)
			}
			r.took(stats)
			return nil
		})
		if err != nil {
			return err
		}
	}
	r.subflows(st.MPTCP())
	return r.finish(ctx)
}

// heldListeners goes through all descriptors for the listeners, and for what is to
// be known of processes before the first of their sockets.
func (r *round) heldListeners(ctx context.Context, st *bpfiter.Stream) (map[tcpvet.NetnsID][]tcpvet.Socket, error) {
	held := make(map[tcpvet.NetnsID][]tcpvet.Socket)
	listen := tcpvet.SetOf(tcpvet.Listen)
	stats, err := st.Held(ctx, listen, func(s *tcpvet.Socket) error {
		if r.q.states().Has(tcpvet.Listen) && r.wants(s.Netns) {
			kept := *s
			kept.SharedWith = slices.Clone(s.SharedWith)
			held[s.Netns] = append(held[s.Netns], kept)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.took(stats)
	return held, r.count(st)
}

// tellNetns tells a namespace, in which the calling thread is, and its listeners.
func (r *round) tellNetns(ctx context.Context, st *bpfiter.Stream, f netns.Found, entry error, held map[tcpvet.NetnsID][]tcpvet.Socket) error {
	if entry != nil {
		r.locked(f, entry)
		return nil
	}
	_, sockets := r.enter(f)
	if !sockets || !r.q.states().Has(tcpvet.Listen) {
		return nil
	}
	known := make(map[uint64]bool)
	for i := range held[f.ID] {
		known[held[f.ID][i].Inode] = true
	}
	if err := r.tellSome(held, f.ID); err != nil {
		return err
	}
	// MPTCP has listeners under its descriptors, the kernel has some of its own, and
	// some were opened since.
	err := r.listeners(ctx, func(s *tcpvet.Socket) error {
		if known[s.Inode] {
			return nil
		}
		s.Netns, s.Holder, s.SharedWith = f.ID, tcpvet.Unseen, nil
		if first, others, ok := st.Holder(s.Inode); ok {
			s.Holder, s.SharedWith = first, others
		}
		return r.socket(s)
	})
	if r.broken != nil || ctx.Err() != nil {
		return r.failed(ctx, err)
	}
	if err != nil {
		r.gap(f, "listeners", err)
	}
	return nil
}

// tellListeners tells those of namespaces that were not entered.
func (r *round) tellListeners(held map[tcpvet.NetnsID][]tcpvet.Socket) error {
	for id := range held {
		if err := r.tellSome(held, id); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) tellSome(held map[tcpvet.NetnsID][]tcpvet.Socket, id tcpvet.NetnsID) error {
	for i := range held[id] {
		if err := r.socket(&held[id][i]); err != nil {
			return err
		}
	}
	delete(held, id)
	return nil
}

// socket tells a socket, and before it its namespace and processes.
func (r *round) socket(s *tcpvet.Socket) error {
	if !r.wants(s.Netns) {
		return nil
	}
	r.strange(s.Netns)
	r.attribute(s)
	r.tell(s)
	r.broken = r.o.Socket(s)
	return r.broken
}
