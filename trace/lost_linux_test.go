package trace

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// stopped begins a trace of a new namespace that nobody reads yet.
func stopped(t testing.TB, o Options) *Tracer {
	t.Helper()
	need(t)
	kerneltest.Netns(t)
	id, err := netns.Self()
	must(t, err)
	o.Netns = []tcpvet.NetnsID{id}
	tr, err := Open(o)
	must(t, err)
	t.Cleanup(func() { must(t, tr.Close()) })
	return tr
}

// readOut runs the trace until it has told all that had come.
func readOut(t testing.TB, tr *Tracer, yield func(*tcpvet.Event) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := tr.Run(ctx, yield); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// What the ring has no room for is counted: told and lost are all that happened.
func TestRootLost(t *testing.T) { kerneltest.Undisturbed(t, testLost) }

func testLost(t testing.TB) {
	tr := stopped(t, Options{Ring: 1, Kinds: Opens | Closes})
	l, at := listen(t, lo4)
	const connections = 1000
	for range connections {
		c, s := connected(t, l, at)
		c.close()
		awaitState(t, s, tcpvet.CloseWait)
		s.close()
	}
	var told, lost, notices uint64
	tell := func(e *tcpvet.Event) error {
		if e.Kind == tcpvet.EventLost {
			lost += e.Count
			notices++
			if e.At.IsZero() {
				t.Error("an event without a time")
			}
		} else {
			told++
		}
		return nil
	}
	readOut(t, tr, tell)
	if told+lost != 4*connections || told == 0 || lost == 0 || notices != 1 {
		t.Errorf("%d told and %d lost in %d notices, want %d in all", told, lost, notices, 4*connections)
	}
	if s := tr.Stats(); s.Lost != lost || s.Events != told {
		t.Errorf("%+v; %d told, %d lost", s, told, lost)
	}
	// And it goes on.
	told, lost = 0, 0
	c, s := connected(t, l, at)
	s.close()
	c.close()
	readOut(t, tr, tell)
	if told != 4 || lost != 0 {
		t.Errorf("then %d told, %d lost, want 4 and none", told, lost)
	}
}

// What finds no room in the table is told, as far as it can be, and counted.
func TestRootLostTrack(t *testing.T) { kerneltest.Undisturbed(t, testLostTrack) }

func testLostTrack(t testing.TB) {
	const room, connections = 64, 100 // cookies in turn take all places
	tr := stopped(t, Options{Connections: room})
	l, at := listen(t, lo4)
	var clients, servers []*socket
	for range connections {
		c, s := connected(t, l, at)
		clients, servers = append(clients, c), append(servers, s)
	}
	for i, c := range clients {
		c.close()
		awaitState(t, servers[i], tcpvet.CloseWait)
		servers[i].close()
	}
	opened, closed, followed := 0, 0, 0
	readOut(t, tr, func(e *tcpvet.Event) error {
		switch e.Kind {
		case tcpvet.EventOpen:
			opened++
		case tcpvet.EventClose:
			closed++
			if e.Took >= 0 {
				followed++
			}
			want := tcpvet.CloserLocal
			if e.Local == at {
				want = tcpvet.CloserRemote
			}
			if e.First != want || e.How != tcpvet.HowFIN {
				t.Errorf("%+v, want first %q", e, want)
			}
		}
		return nil
	})
	if opened != 2*connections || closed != 2*connections || followed != room {
		t.Errorf("%d opened, %d closed, of which %d followed; want %d, and %d followed", opened, closed, followed, 2*connections, room)
	}
	if s := tr.Stats(); s.Unfollowed != 2*connections-room {
		t.Errorf("%d were not followed, want %d", s.Unfollowed, 2*connections-room)
	}
	noneFollowed(t, tr)
}

// noneFollowed checks that nothing stays in the table, nor at a place.
func noneFollowed(t testing.TB, tr *Tracer) {
	t.Helper()
	var key uint64
	if err := tr.objects.Conns.NextKey(nil, &key); err == nil {
		t.Errorf("the connection of cookie %d is still followed", key)
	}
	for i := range int64(tr.options.places()) {
		var b [connLen]byte
		_, err := tr.places.ReadAt(b[:], i*connLen)
		must(t, err)
		if b != [connLen]byte{} {
			t.Errorf("place %d is taken, or not clean: %x", i, b)
		}
	}
}

// A change that comes while the processor is at another is told by the other program,
// and is not lost.
func TestRootLostBetween(t *testing.T) { kerneltest.Undisturbed(t, testLostBetween) }

func testLostBetween(t testing.TB) {
	tr := stopped(t, Options{})
	// The first one, which is attached first, taken away, and the processors at it for good.
	for i, c := range tr.closers {
		if _, is := c.(link.Link); is {
			must(t, c.Close())
			tr.closers = append(tr.closers[:i], tr.closers[i+1:]...)
			break
		}
	}
	var each []uint64
	must(t, tr.objects.Busy.Lookup(uint32(0), &each))
	for i := range each {
		each[i] = 1
	}
	must(t, tr.objects.Busy.Put(uint32(0), each))
	l, at := listen(t, lo4)
	c, s := connected(t, l, at)
	s.close()
	c.close()
	n := 0
	readOut(t, tr, func(e *tcpvet.Event) error { n++; return nil })
	if between, err := tr.count(countBetween); n != 4 || err != nil || between < 9 {
		t.Errorf("%d events of a connection, want 4, by %d changes: %v", n, between, err)
	}
}

// Errors of the functions that are given end a Run as they are.
func TestRootRunEnds(t *testing.T) { kerneltest.Undisturbed(t, testRunEnds) }

func testRunEnds(t testing.TB) {
	enough := errors.New("enough")
	tr := stopped(t, Options{Idle: func() error { return enough }})
	l, at := listen(t, lo4)
	connected(t, l, at)
	n := 0
	err := tr.Run(t.Context(), func(*tcpvet.Event) error { n++; return nil })
	if !errors.Is(err, enough) || n != 2 {
		t.Errorf("%v after %d events, want 2, then Idle", err, n)
	}
	connected(t, l, at)
	if err := tr.Run(t.Context(), func(*tcpvet.Event) error { return unix.EPIPE }); !errors.Is(err, unix.EPIPE) {
		t.Error(err)
	}
}

func TestOptionsRefused(t *testing.T) {
	for words, o := range map[string]Options{
		"kinds 0x80":        {Kinds: 0x80},
		"-1 connections":    {Connections: -1},
		"a ring of -5":      {Ring: -5},
		"a share of 2":      {PassShare: 2},
		"16777217 connecti": {Connections: mostConnections + 1},
	} {
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want %q", o, err, words)
		}
	}
}
