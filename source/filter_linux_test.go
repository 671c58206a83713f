package source_test

import (
	"encoding/binary"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// A program for the kernel to run keeps sockets back, but no listener by which
// others are known; each is told once all the same.
func TestRootFilter(t *testing.T) {
	kerneltest.Netns(t)
	stay := population(t, 10)
	keepNetns(t)
	// INET_DIAG_BC_S_GE and D_GE with the port in the operation that follows it: what
	// has a lower one jumps past the end, and is rejected.
	ge := func(code byte, port uint16) []byte {
		const op = 4 // bytes of one
		b := []byte{code, 2 * op, 3 * op, 0, 0, 0}
		return binary.NativeEndian.AppendUint16(b, port)
	}
	const sGE, dGE = 2, 4
	from := func(port uint16) []byte { return ge(dGE, port) }
	src := live("netlink")(t)
	look := func(filter []byte, states tcpvet.StateSet, want tcpvet.Facts) (listeners, others int) {
		t.Helper()
		var l listed
		q := ownOnly(t, want)
		q.Filter, q.States = filter, states
		must(t, src.Look(t.Context(), q, &l))
		seen := make(map[uint64]bool)
		for _, s := range l.sockets {
			if seen[s.Inode] {
				t.Errorf("%v %v -> %v was told twice", s.State, s.Local, s.Remote)
			}
			if seen[s.Inode] = true; s.State == tcpvet.Listen {
				listeners++
			} else if others++; !stay[s.Inode] || s.Role == tcpvet.RoleUnknown {
				t.Errorf("%v %v -> %v, %v", s.State, s.Local, s.Remote, s.Role)
			}
		}
		return listeners, others
	}
	established := tcpvet.SetOf(tcpvet.Established)
	for _, test := range []struct {
		filter            []byte
		states            tcpvet.StateSet
		want              tcpvet.Facts
		listeners, others int
	}{
		{nil, 0, 0, 2, 10}, // of population, and of the process that keeps the namespace
		{from(1), 0, tcpvet.FactListeners, 2, 10},
		{from(1), 0, 0, 0, 10},                       // a listener has no remote port
		{ge(sGE, 1), 0, tcpvet.FactListeners, 2, 10}, // which they pass
		{ge(sGE, 1), 0, 0, 2, 10},
		{from(65535), 0, tcpvet.FactListeners, 2, 0},
		{from(65535), established, tcpvet.FactListeners, 2, 0},
		{from(1), established, tcpvet.FactListeners, 2, 10},
		{from(1), tcpvet.SetOf(tcpvet.Listen), tcpvet.FactListeners, 2, 0},
		{nil, established, 0, 0, 10},
	} {
		if l, o := look(test.filter, test.states, test.want); l != test.listeners || o != test.others {
			t.Errorf("%x, states %b, %v: %d listeners and %d others; want %d and %d", test.filter, test.states, test.want, l, o, test.listeners, test.others)
		}
	}
}
