package procfs

import (
	"testing"

	"github.com/tcpvet/tcpvet"
)

// TestLeft gives the sockets that Lookup was not asked for, with a descriptor of
// the process that was seen first and the one that started first.
func TestLeft(t *testing.T) {
	const sockets = 5000 // more than the table begins with
	h := newHolders(true)
	young, old := tcpvet.Process{PID: 5, Start: 20}, tcpvet.Process{PID: 9, Start: 10}
	first := h.process(young, 1)
	for i := range uint64(sockets) {
		h.add(1000+i, uint32(3+i), first)
	}
	second := h.process(old, 1)
	for i := range uint64(10) {
		h.add(1000+i, uint32(70000+i), second)
	}
	h.finish()
	for i := uint64(0); i < sockets; i += 2 {
		if _, _, ok := h.Lookup(1000 + i); !ok {
			t.Fatalf("socket %d is lost", 1000+i)
		}
	}
	h.Lookup(999) // of nobody
	left := h.left(nil)
	if len(left) != sockets/2 {
		t.Fatalf("%d are left, want %d", len(left), sockets/2)
	}
	for n, s := range left {
		i := uint64(2*n + 1)
		want := leftSocket{inode: 1000 + i, fd: uint32(3 + i), proc: first, first: young}
		if i < 10 {
			want.first = old
		}
		if s != want {
			t.Fatalf("left %+v, want %+v", s, want)
		}
	}
	if of := h.left(func(p tcpvet.Process) bool { return p == old }); len(of) != 5 {
		t.Errorf("%d are left of the process that started first, want 5", len(of))
	}
}
