package bpfiter_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
	"github.com/tcpvet/tcpvet/source/sourcetest"
)

// Tables of one entry: what finds no room is told, and nothing is lost. The same
// Counter, emptied, counts the same again.
func TestRootOverflow(t *testing.T) {
	need(t)
	looks := 0
	sourcetest.Conform(t, func(t *testing.T) source.Source {
		if looks++; looks == 1 {
			for _, opt := range []bpfiter.Options{{Info: true, Groups: 1, Tuples: 1}, {Info: true, Tuples: 1}} {
				overflows(t, opt)
			}
		}
		src, err := source.Open("netlink")
		must(t, err)
		return src
	})
}

func overflows(t *testing.T, opt bpfiter.Options) {
	t.Helper()
	c, err := bpfiter.NewCounter(opt)
	must(t, err)
	defer c.Close()
	for range 2 {
		before := byNetlink(t, judged)
		got := countWith(t, c, &before)
		after := byNetlink(t, judged)
		agree(t, &before, &after, &got)
		if got.held.Overflow < 10 || got.held.Folded == 0 || opt.Groups == 1 && got.rest.Overflow == 0 {
			t.Errorf("stats %+v and %+v: want some folded and more told for want of room", got.held, got.rest)
		}
		must(t, c.Reset())
	}
}

// Sockets of a namespace that the Counter was not told of are counted apart.
func TestRootElsewhere(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	id, err := netns.Self()
	must(t, err)
	l, at := listen(t, netip.MustParseAddrPort("127.0.0.1:0"), 8)
	pair(t, l, at)
	c, err := bpfiter.NewCounter(bpfiter.Options{})
	must(t, err)
	defer c.Close()
	none := func(s *tcpvet.Socket) error { return fmt.Errorf("told of %v", s.Local) }
	st, err := c.Held(t.Context(), none)
	must(t, err)
	rest, err := c.Rest(t.Context(), none)
	must(t, err)
	if st.Sockets != 0 || rest.Sockets != 0 {
		t.Errorf("%d and %d sockets were counted", st.Sockets, rest.Sockets)
	}
	must(t, c.Groups(func(g tcpvet.Group, _ *tcpvet.Tally) error { return fmt.Errorf("told of %v", g) }))
	n := uint64(0)
	must(t, c.Elsewhere(func(where tcpvet.NetnsID, k uint64) error {
		if where == id {
			n += k
		}
		return nil
	}))
	if n != 3 {
		t.Errorf("%d sockets elsewhere, want a listener and both ends of a connection", n)
	}
}

// After Reset a look begins anew: a TIME-WAIT that was born since the look before it is
// counted, and one that is born during a look is left out and told.
func TestRootReset(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	id, err := netns.Self()
	must(t, err)
	l, at := listen(t, netip.MustParseAddrPort("127.0.0.1:0"), 8)
	timeWait := func() {
		c, s := pair(t, l, at)
		closed(t, c)
		read(t, s, "")
		closed(t, s)
	}
	c, err := bpfiter.NewCounter(bpfiter.Options{})
	must(t, err)
	defer c.Close()
	none := func(*tcpvet.Socket) error { return nil }
	for look := range 3 {
		must(t, c.Reset())
		must(t, c.Space(id, bpfiter.Space{}))
		_, err := c.Held(t.Context(), none)
		must(t, err)
		time.Sleep(20 * time.Millisecond) // some ticks later
		timeWait()
		st, err := c.Rest(t.Context(), none)
		must(t, err)
		if st.Skipped != 1 || st.Folded != uint64(look) {
			t.Errorf("look %d: %d TIME-WAITs counted and %d left out, want %d and 1", look, st.Folded, st.Skipped, look)
		}
	}
}
