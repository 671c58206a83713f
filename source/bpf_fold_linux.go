package source

import (
	"context"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/fold"
)

// fold has the kernel count: what comes up here is totals, and the few sockets that
// do not go into them.
func (l *iterators) fold(ctx context.Context, q Query, f *fold.Folder, count func(uint64)) (ok bool, err error) {
	if q.states()&tcpvet.AllStates != tcpvet.AllStates {
		return false, nil
	}
	o, end := l.remembered(q.Want, f)
	defer end()
	c, err := newCounter(bpfiter.Options{Info: q.Want.Has(tcpvet.FactInfo), Closed: o != tcpvet.Observer(f)})
	if err != nil {
		return true, &loadError{err}
	}
	defer c.Close()
	r, err := l.begin(ctx, q, o)
	if err != nil {
		return true, err
	}
	if count != nil {
		r.progress = count
	}
	return true, r.fold(ctx, c, f, o)
}

// fold counts into f, and tells o, which passes it on to f, of sockets.
func (r *round) fold(ctx context.Context, c *bpfiter.Counter, f *fold.Folder, o tcpvet.Observer) error {
	met := make(map[tcpvet.Process]bool)
	socket := func(s *tcpvet.Socket) error {
		r.attribute(s)
		met[s.Holder] = true
		for _, p := range s.SharedWith {
			met[p] = true
		}
		return o.Socket(s)
	}
	err := netns.Each(ctx, r.found, func(f netns.Found, err error) error { return r.judge(ctx, c, f, err) })
	if err != nil {
		return err
	}
	r.later = true
	stats, err := c.Held(ctx, socket)
	if err != nil {
		return err
	}
	r.took(stats)
	err = netns.Each(ctx, r.found, func(f netns.Found, err error) error {
		if err != nil || !r.entered[f.ID] {
			return nil // the gap was told
		}
		stats, err := c.Rest(ctx, socket)
		if ctx.Err() != nil {
			return ctx.Err()
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
	r.subflows(c.MPTCP())
	if err := r.totals(c, f, met); err != nil {
		return err
	}
	if err := r.count(c); err != nil {
		return err
	}
	if err := r.strangers(ctx, c, f, met, socket); err != nil {
		return err
	}
	r.closes(c)
	for p := range met {
		if p.Known() {
			r.a.tell(p)
		}
	}
	return r.finish(ctx)
}

// closes adds what has closed since the counter was told of namespaces: a socket that
// does is counted in one state, in the other, in neither or in both.
func (r *round) closes(c *bpfiter.Counter) {
	if n, ok := c.Closes(); ok {
		r.closed += n
	}
}

// strangers counts what descriptors hold in namespaces that were not found, or could
// not be entered. That takes passes of its own: one for the listeners, by which the
// roles of the others are told, and one for all.
func (r *round) strangers(ctx context.Context, c *bpfiter.Counter, f *fold.Folder, met map[tcpvet.Process]bool, socket func(*tcpvet.Socket) error) error {
	spaces := make(map[tcpvet.NetnsID]bpfiter.Space)
	err := c.Elsewhere(func(id tcpvet.NetnsID, _ uint64) error {
		if r.wants(id) {
			spaces[id] = bpfiter.Space{Listening: new(tcpvet.PortSet)}
			r.strange(id)
		}
		return nil
	})
	if err != nil || len(spaces) == 0 {
		return err
	}
	pass := func(yield func(*tcpvet.Socket) error) (bpfiter.Stats, error) {
		r.closes(c)
		if err := c.Reset(); err != nil {
			return bpfiter.Stats{}, err
		}
		for id, space := range spaces {
			if err := c.Space(id, space); err != nil {
				return bpfiter.Stats{}, err
			}
		}
		return c.Held(ctx, yield)
	}
	_, err = pass(func(s *tcpvet.Socket) error {
		if s.State == tcpvet.Listen {
			spaces[s.Netns].Listening.Add(s.Local.Port(), s.Local.Port())
		}
		return nil
	})
	if err != nil {
		return err
	}
	stats, err := pass(socket)
	if err != nil {
		return err
	}
	r.took(stats)
	r.subflows(c.MPTCP())
	return r.totals(c, f, met)
}

// judge tells the counter by what the sockets of a namespace are to be judged, in
// which the calling thread is.
func (r *round) judge(ctx context.Context, c *bpfiter.Counter, f netns.Found, entry error) error {
	if entry != nil {
		r.locked(f, entry)
		return nil
	}
	n, sockets := r.enter(f)
	space := bpfiter.Space{Ports: n.Ports}
	space.Reuse, _ = tcpvet.ReuseOf(&n)
	if sockets {
		space.Listening = new(tcpvet.PortSet)
		err := r.listeners(ctx, func(s *tcpvet.Socket) error {
			space.Listening.Add(s.Local.Port(), s.Local.Port())
			return nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.gap(f, "listeners", err)
		}
	}
	return c.Space(f.ID, space)
}

// totals reads what the kernel has counted.
func (r *round) totals(c *bpfiter.Counter, f *fold.Folder, met map[tcpvet.Process]bool) error {
	err := c.Groups(func(g tcpvet.Group, t *tcpvet.Tally) error {
		switch { // what several hold is told: a Tally of the kernel names no others
		case !r.holders && g.Holder.Known():
			g.Holder = tcpvet.Unseen
		case r.holders && g.Holder == tcpvet.Unseen:
			r.a.unseen += int(t.Total())
		}
		met[g.Holder] = true
		f.Group(g, t)
		return nil
	})
	if err != nil {
		return err
	}
	return c.Tuples(func(t tcpvet.Tuple, b *tcpvet.Budget) error {
		f.Tuple(t, b)
		return nil
	})
}
