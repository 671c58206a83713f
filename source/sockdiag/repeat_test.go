package sockdiag

import (
	"math/rand/v2"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// recent against a plain list of the last 128 cookies.
func TestRecent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var r recent
	var list []uint64
	repeats := 0
	for range 200_000 {
		// Cookies that share slots, and repeats from near and far.
		cookie := 1 + rnd.Uint64N(300) + recentSlots*rnd.Uint64N(3)
		known := false
		for _, c := range list[max(0, len(list)-recentLen):] {
			known = known || c == cookie
		}
		_, ok := r.seen(cookie, tcpvet.Established)
		if ok != known {
			t.Fatalf("socket %d of %d: seen %v, want %v", cookie, len(list), ok, known)
		}
		if !known {
			list = append(list, cookie)
		} else {
			repeats++
		}
	}
	if repeats < 10_000 || len(list) < 10_000 {
		t.Errorf("%d repeats among %d: proves little", repeats, len(list))
	}
}

func TestRecentState(t *testing.T) {
	var r recent
	for i, c := range []struct {
		state  tcpvet.State
		before tcpvet.State
		ok     bool
	}{{tcpvet.Established, 0, false}, {tcpvet.CloseWait, tcpvet.Established, true}, {tcpvet.LastAck, tcpvet.CloseWait, true}} {
		if before, ok := r.seen(5, c.state); before != c.before || ok != c.ok {
			t.Errorf("%d: %v %v, want %v %v", i, before, ok, c.before, c.ok)
		}
	}
	for range 2 {
		if _, ok := r.seen(0, tcpvet.Established); ok {
			t.Error("a socket without a cookie is taken for another one")
		}
	}
}

func TestRecentAllocs(t *testing.T) {
	var r recent
	cookie := uint64(0)
	if n := testing.AllocsPerRun(1000, func() { cookie++; r.seen(cookie, tcpvet.Established) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecent(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	cookies := rnd.Perm(1 << 16)
	var r recent
	for i := 0; b.Loop(); i++ {
		r.seen(uint64(cookies[i%len(cookies)]+1), tcpvet.Established)
	}
}
