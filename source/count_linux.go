package source

import (
	"context"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/sockdiag"
)

// StateCounter is a Source that can count by state for less than a look costs.
type StateCounter interface {
	// CountStates gives a Census that holds nothing but the number of
	// sockets by state, one group per namespace, and the gaps.
	CountStates(ctx context.Context, q Query) (tcpvet.Census, error)
}

// netlinked is a live source that reads by sock_diag.
type netlinked struct{ live }

// CountStates counts with sockdiag's CountStates.
func (l *netlinked) CountStates(ctx context.Context, q Query) (tcpvet.Census, error) {
	start := time.Now()
	c := tcpvet.Census{
		Taken: start, Source: l.Name(), Facts: Known(l, q),
		Groups: make(map[tcpvet.Group]*tcpvet.Tally), Netns: make(map[tcpvet.NetnsID]tcpvet.Netns),
	}
	c.Self, c.Whole = Scope(l, q)
	spaces, gaps, err := l.namespaces(q.Netns)
	if err != nil {
		return c, err
	}
	c.Gaps = gaps
	v := &visit{live: &l.live, q: q, o: withRoles(&gapKeeper{census: &c})}
	err = netns.Each(ctx, spaces, func(f netns.Found, err error) error { return l.countNamespace(ctx, v, &c, f, err) })
	c.Duration = time.Since(start)
	if err == nil && v.seen == 0 {
		err = v.blind(len(spaces))
	}
	return c, err
}

func (l *netlinked) countNamespace(ctx context.Context, v *visit, c *tcpvet.Census, f netns.Found, entry error) error {
	if entry != nil {
		v.missed(f, "sockets", entry)
		return nil
	}
	c.Netns[f.ID] = tcpvet.Netns{ID: f.ID, Names: f.Names}
	// A single namespace is not worth asking whether it is empty.
	if q := v.q; q.Netns.All {
		if counters, err := l.fs.SocketCounters(); err == nil && l.empty(q, counters) {
			v.seen++
			return nil
		}
	}
	conn, err := sockdiag.Dial()
	if err != nil {
		v.missed(f, "sockets", err)
		return nil
	}
	defer conn.Close()
	n, short, st, err := conn.CountStates(ctx, l.fs.SocketCounters)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		v.missed(f, "sockets", err)
		return nil
	}
	v.seen++
	if unsound(st) {
		c.Gaps = append(c.Gaps, Inconsistent())
	}
	if !short {
		if err := l.crowded(st.Sockets); err != nil {
			v.gap(f, "some sockets", err)
		}
	}
	t := new(tcpvet.Tally)
	for s, k := range n {
		t.States[s] = uint32(k)
	}
	c.Groups[tcpvet.Group{Netns: f.ID}] = t
	c.Sockets += n.Total()
	c.Selected = c.Sockets
	c.Changed += uint64(st.Changed)
	return nil
}

// gapKeeper is an Observer that keeps gaps.
type gapKeeper struct {
	tcpvet.Observer
	census *tcpvet.Census
}

func (k *gapKeeper) Gap(g tcpvet.Gap) { k.census.Gaps = append(k.census.Gaps, g) }
