package trace

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/live"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// eavesdrop follows the segments on lo. What it gives ends that, and gives how each
// connection ended, by its client.
func eavesdrop(t testing.TB) func() map[netip.AddrPort]tcpvet.Ending {
	t.Helper()
	endings := make(map[netip.AddrPort]tcpvet.Ending)
	tracker := capture.NewTracker(capture.TrackerOptions{Dated: true}, func(c *tcpvet.Conversation) error {
		endings[c.Client] = c.Close
		return nil
	})
	l, err := live.Open(live.Options{Interface: "lo"})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	ended := make(chan error)
	go func() {
		var err error
		for err == nil {
			var s capture.Segment
			if err = l.Next(ctx, &s); err == nil {
				_, err = tracker.Add(&s)
			}
		}
		ended <- err
	}()
	return func() map[netip.AddrPort]tcpvet.Ending {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		must(t, l.Close())
		must(t, tracker.Finish())
		return endings
	}
}

// The wire tells of each way to end what both ends' sockets tell of it, but for
// timeouts: those the kernel alone knows.
func TestRootAgreeWithTheWire(t *testing.T) { kerneltest.Undisturbed(t, testAgreeWithTheWire) }

func testAgreeWithTheWire(t testing.TB) {
	f := follow(t, Options{PassShare: 1})
	heard := eavesdrop(t)
	l, at := listen(t, lo4)
	type told struct {
		name           string
		from           netip.AddrPort
		client, server tcpvet.Event
	}
	var all []told
	for _, c := range closings {
		if c.client.how == timeout || c.server.how == timeout {
			continue
		}
		client, server := connected(t, l, at)
		from := localOf(t, client)
		c.act(t, client, server)
		all = append(all, told{c.name, from, f.one(c.name, of(tcpvet.EventClose, client.cookie)), f.one(c.name, of(tcpvet.EventClose, server.cookie))})
		server.close()
		client.close()
	}
	wire := heard()
	for _, c := range all {
		w, ok := wire[c.from]
		first := map[tcpvet.End][2]tcpvet.Closer{tcpvet.ClientEnd: {local, remote}, tcpvet.ServerEnd: {remote, local}}[w.First]
		if got := [2]tcpvet.Closer{c.client.First, c.server.First}; !ok || got != first {
			t.Errorf("%s: the wire has %q first, the ends say %q and %q", c.name, w.First, got[0], got[1])
		}
		if byRST := c.client.How == rst || c.server.How == rst; byRST != (w.Kind == tcpvet.Reset) {
			t.Errorf("%s: the wire has it %s, the ends %s and %s", c.name, w.Kind, c.client.How, c.server.How)
		}
		got := [2]bool{c.client.Cause == tcpvet.CauseReset, c.server.Cause == tcpvet.CauseReset}
		if want := [2]bool{w.ResetBy == tcpvet.ServerEnd, w.ResetBy == tcpvet.ClientEnd}; got != want {
			t.Errorf("%s: the wire has an RST of %s, the ends say %q and %q", c.name, w.ResetBy, c.client.Cause, c.server.Cause)
		}
		if w.PassiveWait == nil || w.Kind == tcpvet.ThreeWay {
			continue
		}
		waited := max(c.client.CloseWait, c.server.CloseWait)
		if off := (waited - *w.PassiveWait).Abs(); off > generousSkew {
			t.Errorf("%s: the wire has %v in CLOSE-WAIT, the ends %v", c.name, *w.PassiveWait, waited)
		}
	}
}

// generousSkew is how much later a packet may be seen than its socket changes, on a busy machine.
const generousSkew = 500 * time.Millisecond
