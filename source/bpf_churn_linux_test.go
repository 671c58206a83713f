package source_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// While connections come and go the kernel counts those that stay to the last one, and
// the census states by how many it may be off: by those that closed.
func TestRootCountedWhileOthersChange(t *testing.T) {
	kerneltest.Root(t)
	kerneltest.Need(t, bpfiter.Probe)
	kerneltest.Netns(t)
	const held, workers = 4000, 2
	population(t, held)
	keepNetns(t)
	const stable = held + 2 // and a listener of each
	// Each of the workers has a listener and both ends of a connection, and closes
	// the three.
	const each = 3
	count, _ := churn(t, workers)
	src := withBPF(t)
	for range 5 {
		came := int64(0)
		between := func(uint64) { // the passes, of which the first is over
			if came > 0 {
				return
			}
			from := count()
			for deadline := time.Now().Add(20 * time.Second); came < 20*workers; time.Sleep(time.Millisecond) {
				if came = count() - from; time.Now().After(deadline) {
					t.Fatal("no connections come and go")
				}
			}
		}
		c, err := source.Take(t.Context(), src, ownOnly(t, tcpvet.FactHolders|tcpvet.FactListeners), source.TakeOptions{Count: between})
		must(t, err)
		byService := make(map[netip.AddrPort][2]uint32) // as clients, as servers
		most := netip.AddrPort{}
		for g, tally := range c.Groups {
			n := byService[g.Service]
			if g.Role == tcpvet.Client {
				n[0] += tally.States[tcpvet.Established]
			} else {
				n[1] += tally.States[tcpvet.Established]
			}
			if byService[g.Service] = n; n[0] > byService[most][0] {
				most = g.Service
			}
		}
		if got := byService[most]; got != [2]uint32{held / 2, held / 2} {
			t.Errorf("%v of the stable %d are counted as clients and servers", got, held)
		}
		// The first of each worker may have closed two before the count began.
		if least := uint64(each * (came - workers)); c.Changed < least {
			t.Errorf("%d closed at the least, and the census says that %d changed", least, c.Changed)
		}
		if c.Sockets < stable || c.Sockets > stable+workers*each+c.Changed {
			t.Errorf("%d sockets, with %d that stay, %d that come and go, and %d closed meanwhile", c.Sockets, stable, workers*each, c.Changed)
		}
	}
}
