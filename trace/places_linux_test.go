package trace

import (
	"net"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// A connection whose place another has is followed as well as that one: how long, who
// first, how long in CLOSE-WAIT, and whose.
func TestRootPlaces(t *testing.T) { kerneltest.Undisturbed(t, testPlaces) }

func testPlaces(t testing.TB) {
	for _, calls := range []bool{false, true} {
		tr := stopped(t, Options{Connections: 7, Calls: calls}) // which is one place, and the table
		if n := tr.options.places(); n != 1 {
			t.Fatalf("%d places", n)
		}
		acceptUnix(t)
		noneFollowed(t, tr)
		l, at := listen(t, lo4)
		var pairs []pair
		for range 3 {
			c, s := connected(t, l, at)
			pairs = append(pairs, pair{c, s})
		}
		for _, p := range pairs {
			p.client.close()
			awaitState(t, p.server, tcpvet.CloseWait)
			time.Sleep(time.Millisecond) // in CLOSE-WAIT at least so long
			p.server.close()
		}
		n := 0
		readOut(t, tr, func(e *tcpvet.Event) error {
			n++
			checkSelf(t, e.Kind.String(), e)
			if e.Kind == tcpvet.EventOpen {
				return nil
			}
			role, first, wait := tcpvet.Client, local, time.Duration(0) // it is over with FIN-WAIT-2
			if e.Local == at {
				role, first, wait = tcpvet.Server, remote, time.Millisecond
			}
			if e.Role != role || e.First != first || e.How != fin || e.Took <= wait || e.CloseWait < wait || wait == 0 && e.CloseWait != 0 {
				t.Errorf("%+v", e)
			}
			return nil
		})
		displaced, err := tr.count(countDisplaced)
		must(t, err)
		if n != 12 || displaced != 5 || tr.Stats().Unfollowed != 0 {
			t.Errorf("%d events of 6 ends, of which %d had no place; %+v", n, displaced, tr.Stats())
		}
		noneFollowed(t, tr)
	}
}

// acceptUnix accepts what is not of TCP and has no cookie: it is noted nowhere.
func acceptUnix(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", "")
	must(t, err)
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	must(t, err)
	defer c.Close()
	s, err := l.Accept()
	must(t, err)
	must(t, s.Close())
}

func TestPlaces(t *testing.T) {
	for connections, want := range map[int]uint32{1: 1, 7: 1, 8: 2, 64: 16, usualConnections: 1 << 16, usualConnections - 1: 1 << 15, mostConnections: 1 << 22} {
		if got := (Options{Connections: connections}).places(); got != want {
			t.Errorf("%d connections: %d places, want %d", connections, got, want)
		}
	}
}

// A pass that finds less than a tenth of what was wanted is followed by a longer pause.
func TestPassPause(t *testing.T) {
	a := &adopter{share: 0.01}
	for _, test := range []struct {
		wanted, found int
		want          time.Duration
	}{{0, 0, time.Second}, {1, 1, time.Second}, {100, 10, time.Second}, {100, 9, 10 * time.Second}, {1, 0, 10 * time.Second}} {
		if got := a.pause(10*time.Millisecond, test.wanted, test.found); got != test.want {
			t.Errorf("%d of %d found: %v, want %v", test.found, test.wanted, got, test.want)
		}
	}
}
