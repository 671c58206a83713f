package capture

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The table against a map, through any order of insertions and removals, with
// hashes as they are and with hashes that often are the same.
func TestTable(t *testing.T) {
	for _, mask := range []uint32{1<<32 - 1, 63} {
		againstMap(t, mask)
	}
	tab := newTable(nil)
	host := func(name string) netip.AddrPort {
		return netip.AddrPortFrom(netip.IPv6Unspecified().WithZone(name), 80)
	}
	if tab.hash(host("a"), host("c")) == tab.hash(host("b"), host("c")) {
		t.Error("hosts that only their names tell apart have one hash")
	}
}

func againstMap(t *testing.T, mask uint32) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	q := newQueues()
	tab := newTable(&q)
	type pair struct{ a, b netip.AddrPort }
	want := map[pair]*conversation{}
	end := func() netip.AddrPort {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(6))})
		if r.IntN(3) == 0 {
			a = netip.IPv6Unspecified().WithZone(string(rune('a' + r.IntN(3))))
		}
		return netip.AddrPortFrom(a, uint16(r.IntN(20)))
	}
	for range 200000 {
		p := pair{end(), end()}
		if _, ok := want[pair{p.b, p.a}]; ok {
			p.a, p.b = p.b, p.a
		}
		hash := tab.hash(p.a, p.b) & mask
		if hash != tab.hash(p.b, p.a)&mask {
			t.Fatal("the directions hash apart")
		}
		got, side := tab.find(hash, p.b, p.a)
		if got != want[p] {
			t.Fatalf("%v: found %v, want %v", p, got, want[p])
		}
		switch {
		case got == nil && (len(want) < 1000 || r.IntN(2) == 0):
			c := q.take()
			c.hash, c.ends[0].addr, c.ends[1].addr = hash, p.a, p.b
			q.push(openHead, c.slot)
			tab.insert(c)
			want[p] = c
		case got != nil:
			if side != 1 && p.a != p.b {
				t.Fatalf("%v: side %d", p, side)
			}
			if r.IntN(2) == 0 {
				tab.remove(got)
				q.release(got)
				delete(want, p)
			}
		}
		if tab.n != len(want) {
			t.Fatalf("%d in the table, want %d", tab.n, len(want))
		}
	}
	if len(want) < 500 {
		t.Errorf("only %d at the end", len(want))
	}
}
