package procfs

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// The table says of every socket what a plain map of slices would.
func TestHoldersAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	h := newHolders(false)
	model := map[uint64][]tcpvet.Process{}
	inodes := make([]uint64, 5000)
	for i := range inodes {
		inodes[i] = uint64(rnd.Uint32N(20000)) + 1
		if i%50 == 0 {
			inodes[i] += 1 << 40 // wider than a slot
		}
	}
	for pid := int32(1); pid <= 60; pid++ {
		p := tcpvet.Process{PID: pid, Start: uint64(1000 - pid)} // later PIDs started earlier
		n := h.process(p, 0)
		for range 400 {
			inode := inodes[rnd.IntN(len(inodes))]
			h.add(inode, 0, n)
			if !slices.Contains(model[inode], p) {
				model[inode] = append(model[inode], p)
			}
		}
	}
	h.add(0, 0, 0)
	h.finish()
	if h.Len() != len(model) {
		t.Errorf("%d sockets, want %d", h.Len(), len(model))
	}
	shared := 0
	for inode, want := range model {
		slices.SortFunc(want, func(a, b tcpvet.Process) int { return int(a.Start) - int(b.Start) })
		first, others, ok := h.Lookup(inode)
		if !ok || first != want[0] || !slices.Equal(others, want[1:]) {
			t.Fatalf("socket %d: %v %v, want %v", inode, first, others, want)
		}
		shared += len(others)
	}
	if shared < 1000 {
		t.Errorf("only %d shared holders: the test tests little", shared)
	}
	for _, absent := range []uint64{0, 30000, 1<<40 + 1<<20, 1 << 63} {
		if _, _, ok := h.Lookup(absent); ok {
			t.Errorf("socket %d has a holder", absent)
		}
	}
	if _, _, ok := new(Holders).Lookup(5); ok {
		t.Error("the zero Holders has a socket")
	}
}

// Within a clock tick the parent comes first, also when PIDs have wrapped.
func TestHoldersParentFirst(t *testing.T) {
	h := newHolders(false)
	child := tcpvet.Process{PID: 7, Start: 500}
	grandchild := tcpvet.Process{PID: 5, Start: 500}
	parent := tcpvet.Process{PID: 32000, Start: 500}
	elder := tcpvet.Process{PID: 40000, Start: 499}
	for _, p := range []struct {
		tcpvet.Process
		parent int32
	}{{grandchild, 7}, {child, 32000}, {parent, 1}, {elder, 5}} { // in the order of a scan; elder's parent closes no ring with it
		h.add(77, 0, h.process(p.Process, p.parent))
	}
	h.finish()
	first, others, _ := h.Lookup(77)
	if want := []tcpvet.Process{parent, child, grandchild}; first != elder || !slices.Equal(others, want) {
		t.Errorf("got %v, then %v; want %v, then %v", first, others, elder, want)
	}
}

// A ring of parents, as PIDs used again can make one, comes to an end.
func TestHoldersRingOfParents(t *testing.T) {
	h := newHolders(false)
	a, b := tcpvet.Process{PID: 5, Start: 1}, tcpvet.Process{PID: 6, Start: 1}
	h.add(9, 0, h.process(a, 6))
	h.add(9, 0, h.process(b, 5))
	h.finish()
	if first, others, ok := h.Lookup(9); !ok || first != a || len(others) != 1 {
		t.Errorf("got %v %v", first, others)
	}
}

// A million sockets take 16 MB; a hundred workers that inherited ten thousand
// take 199 sets.
func TestHoldersSize(t *testing.T) {
	h := newHolders(false)
	n := h.process(tcpvet.Process{PID: 1, Start: 1}, 0)
	for inode := uint64(1); inode <= 1_000_000; inode++ {
		h.add(inode, 0, n)
	}
	if bytes := len(h.slots) * 8; bytes > 17<<20 {
		t.Errorf("a million sockets take %d bytes", bytes)
	}

	h = newHolders(false)
	const workers, sockets = 100, 10_000
	for w := range int32(workers) {
		n := h.process(tcpvet.Process{PID: w + 1, Start: uint64(w)}, 0)
		for inode := uint64(1); inode <= sockets; inode++ {
			h.add(inode, 0, n)
		}
	}
	if len(h.sets) != workers+workers-1 {
		t.Errorf("%d sets, want %d of one process and %d of more", len(h.sets), workers, workers-1)
	}
	h.finish()
	listed := 0
	for _, m := range h.members {
		listed += len(m)
	}
	if listed != workers {
		t.Errorf("%d members written out, want the %d of the one set that sockets have", listed, workers)
	}
	if n := testing.AllocsPerRun(100, func() { h.Lookup(77) }); n != 0 {
		t.Errorf("%v allocations a lookup", n)
	}
}
