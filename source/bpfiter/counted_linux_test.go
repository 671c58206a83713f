package bpfiter_test

import (
	"fmt"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/fold"
	"github.com/tcpvet/tcpvet/source/sourcetest"
)

// counted is what a Counter makes of the calling thread's namespace.
type counted struct {
	tcpvet.Census
	held, rest bpfiter.Stats
	processes  map[tcpvet.Process]bpfiter.Process
	sockets    []tcpvet.Socket // told instead of folded
}

// count counts with a new Counter. Ports and listeners are those of like.
func count(t *testing.T, opt bpfiter.Options, like *tcpvet.Census) counted {
	t.Helper()
	c, err := bpfiter.NewCounter(opt)
	must(t, err)
	defer func() { must(t, c.Close()) }()
	return countWith(t, c, like)
}

func countWith(t *testing.T, c *bpfiter.Counter, like *tcpvet.Census) counted {
	t.Helper()
	id, err := netns.Self()
	must(t, err)
	n := like.Netns[id]
	sp := bpfiter.Space{Ports: n.Ports, Listening: new(tcpvet.PortSet)}
	sp.Reuse, _ = tcpvet.ReuseOf(&n)
	for l := range like.Listeners {
		sp.Listening.Add(l.Local.Port(), l.Local.Port())
	}
	must(t, c.Space(id, sp))
	f := fold.New(fold.Options{})
	f.Netns(n)
	got := counted{processes: make(map[tcpvet.Process]bpfiter.Process)}
	tell := func(s *tcpvet.Socket) error {
		if s.Netns != id {
			return nil
		}
		got.sockets = append(got.sockets, *s)
		return f.Socket(s)
	}
	got.held, err = c.Held(t.Context(), tell)
	must(t, err)
	got.rest, err = c.Rest(t.Context(), tell)
	must(t, err)
	got.Census = f.Census()
	must(t, c.Groups(func(g tcpvet.Group, tally *tcpvet.Tally) error {
		if g.Netns != id {
			return nil
		}
		got.Sockets += tally.Total()
		if had := got.Groups[g]; had != nil {
			had.Merge(tally)
		} else {
			got.Groups[g] = tally
		}
		return nil
	}))
	must(t, c.Tuples(func(tu tcpvet.Tuple, b *tcpvet.Budget) error {
		if tu.Netns != id {
			return nil
		}
		if had := got.Tuples[tu]; had != nil {
			had.Merge(b)
		} else {
			got.Tuples[tu] = b
		}
		return nil
	}))
	must(t, c.Processes(func(p tcpvet.Process, v bpfiter.Process) error {
		got.processes[p] = v
		return nil
	}))
	return got
}

// byNetlink looks at the calling thread's namespace by sock_diag and /proc. Some
// process has to be there: netns.Find knows threads by their process.
func byNetlink(t *testing.T, want tcpvet.Facts) tcpvet.Census {
	t.Helper()
	src, err := source.Open("netlink")
	must(t, err)
	id, err := netns.Self()
	must(t, err)
	c, err := source.Take(t.Context(), src, source.Query{Want: want, Netns: source.Namespaces{Names: []string{fmt.Sprint(id)}}}, source.TakeOptions{})
	must(t, err)
	return c
}

const judged = tcpvet.FactInfo | tcpvet.FactHolders | tcpvet.FactListeners | tcpvet.FactPortRange | tcpvet.FactSysctls | tcpvet.FactBound

// The kernel's totals are those of user space, in every field, over sockets of
// every state that loopback can keep: the stage is Conform's.
func TestRootCounterAgrees(t *testing.T) {
	need(t)
	looks := 0
	sourcetest.Conform(t, func(t *testing.T) source.Source {
		if looks++; looks == 1 {
			before := byNetlink(t, judged)
			got := count(t, bpfiter.Options{Info: true}, &before)
			after := byNetlink(t, judged)
			agree(t, &before, &after, &got)
			if got.held.Folded < 10 || got.rest.Folded < 5 {
				t.Errorf("%d and %d sockets were folded in the kernel: hardly any", got.held.Folded, got.rest.Folded)
			}
		}
		src, err := source.Open("netlink")
		must(t, err)
		return src
	})
}
