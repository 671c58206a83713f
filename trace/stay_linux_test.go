package trace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

func init() { Parts["stay"] = stay }

// stay connects so often, says so, and holds the connections until its input ends.
func stay() error {
	orders := json.NewDecoder(os.Stdin)
	var order connections
	if err := orders.Decode(&order); err != nil {
		return err
	}
	for range order.N {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a socket: %w", err)
		}
		if err := unix.Connect(fd, sockaddr(order.To, unix.AF_INET)); err != nil {
			return fmt.Errorf("connect to %v: %w", order.To, err)
		}
	}
	if err := kerneltest.Say(order.N); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// staying is how large a trace is to be that goes on beside connections that stay, and
// others that come and go.
type staying struct {
	held, holders int // connections in all, and the processes that have one end of them
	room          int // for ends
	churn         int // connections that come and go at a time
	rounds        func(n int) bool
}

// tallied counts what a trace tells.
type tallied struct {
	mu                           sync.Mutex
	opened, closed, others, lost uint64
}

func (n *tallied) add(e *tcpvet.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e.Kind {
	case tcpvet.EventOpen:
		n.opened++
	case tcpvet.EventClose:
		n.closed++
	case tcpvet.EventLost:
		n.lost += e.Count
	default:
		n.others++
	}
	return nil
}

// missedAt is how many of so many changes may be told by nobody: the kernel passes over
// one, now and then, and does not count that (bpf/sweep.bpf.c). Where it was busier than
// that, the test is run again.
func missedAt(changes int) uint64 { return 2 + uint64(changes)/1000 }

// await waits until so many ends were told to open and to close, or were lost, but for
// the missedAt.
func (n *tallied) await(t testing.TB, opened, closed int) {
	t.Helper()
	all := uint64(opened + closed)
	got := func() uint64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.opened + n.closed + n.lost
	}
	until(t, fmt.Sprintf("%d opened and %d closed", opened, closed), func() bool { return got()+missedAt(int(all)) >= all }, func() any { return got() })
	n.mu.Lock()
	defer n.mu.Unlock()
	// Of what was missed some would have been no event.
	if n.opened > uint64(opened) || n.closed > uint64(closed) || n.others != 0 || n.opened+n.closed+n.lost > all+missedAt(int(all)) {
		t.Fatalf("%d opened, %d closed, %d lost, %d others; want %d and %d", n.opened, n.closed, n.lost, n.others, opened, closed)
	}
}

// stays lets a trace run and fails the test unless every end is told or counted, the
// tables stay within their bounds, nothing grows, and nothing is left in them.
func stays(t testing.TB, size staying) {
	need(t)
	kerneltest.Netns(t)
	sysctl(t, "ip_local_port_range", "10000 60999")
	each := size.held / size.holders
	must(t, os.WriteFile("/proc/sys/net/core/somaxconn", fmt.Append(nil, each), 0))
	id, err := netns.Self()
	must(t, err)
	tr, err := Open(Options{Netns: []tcpvet.NetnsID{id}, Connections: size.room, Calls: true, Stacks: true, Ring: 16 << 20})
	must(t, err)
	t.Cleanup(func() { must(t, tr.Close()) })
	if m := tr.Missing(); len(m) > 0 {
		t.Fatalf("missing: %+v", m)
	}
	var told tallied
	ctx, stop := context.WithCancel(context.Background())
	var ended error
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended = tr.Run(ctx, told.add)
	}()
	end := func() {
		stop()
		<-done
	}
	t.Cleanup(end)
	empty := memory(t, tr.objects.Conns)

	// The other ends wait to be accepted, and are nobody's.
	var holders []*part
	var listeners []*socket
	for i := range size.holders {
		l, to := listen(t, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}), 0))
		must(t, unix.Listen(l.fd, each))
		listeners = append(listeners, l)
		holders = append(holders, start(t, "stay", connections{to, each}, nil))
	}
	for _, h := range holders {
		var n int
		must(t, h.answer.Decode(&n))
	}
	held := 2 * each * size.holders
	told.await(t, held, 0)
	full := min(size.room, held)
	refused := held - full
	// Options.Connections says what one takes.
	taken := memory(t, tr.objects.Conns) - empty
	if one := taken / uint64(full); one > 256 {
		t.Errorf("a connection takes %d bytes of the kernel's memory", one)
	}
	near(t, "ends found no room", unfollowed(t, tr), refused, held)

	l, to := listen(t, lo4)
	serve(t, l)
	round := 0
	churn := func() {
		round++
		p := start(t, "churn", connections{to, size.churn}, nil)
		must(t, p.end())
		told.await(t, held+2*size.churn*round, 2*size.churn*round)
		if now := memory(t, tr.objects.Conns) - empty; now > taken+taken/16 {
			t.Fatalf("the table takes %d bytes more than it did at first, and %d once the connections stayed", now, taken)
		}
	}
	for range 2 {
		churn()
	}
	before := kerneltest.UsageNow(t)
	for size.rounds(round) {
		churn()
	}
	kerneltest.UsageNow(t).Grown(t, before, 2)
	if refused > 0 {
		refused += 2 * size.churn * round
	}
	all := held + 2*size.churn*round
	near(t, "ends found no room", unfollowed(t, tr), refused, all)
	opening, err := tr.stacks.Stats()
	must(t, err)
	near(t, "connections with a stack or no room for it", opening.Opened+opening.Refused, all/2+size.churn*round, all)

	// What waits to be accepted goes with its listener.
	for i, h := range holders {
		must(t, h.end())
		listeners[i].close()
	}
	told.await(t, all, all)
	if end(); !errors.Is(ended, context.Canceled) {
		t.Error(ended)
	}
	until(t, "an empty table of connections", func() bool { return memory(t, tr.objects.Conns) <= empty+missedAt(2*all)*256 })
	until(t, "an empty table of openings", func() bool {
		*tr.stacks.SweepAgain() = true
		must(t, tr.stacks.Sweep())
		var key uint64
		return errors.Is(tr.stacks.objects.Openings.NextKey(nil, &key), ebpf.ErrKeyNotExist)
	})
	// Each was taken away when it closed, but for what was missed: the trace missed it too.
	opening, err = tr.stacks.Stats()
	must(t, err)
	if opening.Swept > opening.Missed+told.lost+missedAt(2*all) {
		t.Errorf("%+v, %d events lost: more were swept than were missed", opening, told.lost)
	}
	t.Logf("%d ends held in a table for %d, %d connections came and went, %d events lost; %+v, %+v", held, size.room, size.churn*round, told.lost, tr.Stats(), opening)
}

// unfollowed is that of Stats, which is of the goroutine that runs the trace.
func unfollowed(t testing.TB, tr *Tracer) uint64 {
	t.Helper()
	n, err := tr.count(countNoRoom)
	must(t, err)
	return n
}

// near checks a count, but for what may have been missed of so many changes.
func near(t testing.TB, what string, got uint64, want, of int) {
	t.Helper()
	if missed := missedAt(of); got+missed < uint64(want) || got > uint64(want)+missed {
		t.Errorf("%d %s, want %d", got, what, want)
	}
}

// memory gives what a map takes of the kernel's memory, in bytes.
func memory(t testing.TB, m *ebpf.Map) uint64 {
	t.Helper()
	info, err := m.Info()
	must(t, err)
	n, ok := info.Memlock()
	if !ok {
		t.Fatal("the kernel does not tell what a map takes")
	}
	return n
}

// A trace beside connections that stay is bounded, and keeps nothing of what is over:
// of those there is room for, and of more.
func TestRootStays(t *testing.T) {
	for name, room := range map[string]int{"room": 1 << 13, "full": 1 << 11} {
		t.Run(name, func(t *testing.T) {
			kerneltest.Undisturbed(t, func(t testing.TB) {
				stays(t, staying{held: 2000, holders: 2, room: room, churn: 500, rounds: func(n int) bool { return n < 5 }})
			})
		})
	}
}
