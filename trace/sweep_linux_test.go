package trace

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// blind takes the program from the tracepoint for as long as what is done: nothing of it
// is seen, nor counted.
func blind(t testing.TB, tr *Tracer, do func()) {
	t.Helper()
	at := slices.IndexFunc(tr.closers, func(c io.Closer) bool { _, is := c.(link.Link); return is })
	must(t, tr.closers[at].Close())
	do()
	l, err := link.AttachTracing(link.TracingOptions{Program: tr.objects.Changes})
	must(t, err)
	tr.closers[at] = l
}

// sweepUntil sweeps until so many ends were found.
func sweepUntil(t testing.TB, tr *Tracer, n uint64) {
	t.Helper()
	until(t, "the ends that were not seen", func() bool {
		must(t, tr.sweeper.sweep(0))
		return tr.Stats().Swept >= n
	})
}

// A connection whose end no program saw is freed, from its place and from the table, and
// counted: as lost where its end was to be told. What lives stays, and is told.
func TestRootSweep(t *testing.T) {
	for _, test := range []struct {
		name  string
		kinds Kinds
		lost  uint64
	}{{"closes", Opens | Closes, 4}, {"states", States, 4}, {"failures", Fails, 0}} {
		t.Run(test.name, func(t *testing.T) {
			kerneltest.Undisturbed(t, func(t testing.TB) { testSweep(t, test.kinds, test.lost) })
		})
	}
}

func testSweep(t testing.TB, kinds Kinds, wantLost uint64) {
	tr := stopped(t, Options{Connections: 7, Kinds: kinds}) // one place, and the table
	l, at := listen(t, lo4)
	var pairs []pair
	for range 3 {
		c, s := connected(t, l, at)
		pairs = append(pairs, pair{c, s})
	}
	blind(t, tr, func() {
		for _, p := range pairs[:2] { // the first has the place
			abortive(t, p.client)
			p.client.close()
			awaitState(t, p.server, tcpvet.Unconn)
		}
	})
	sweepUntil(t, tr, 4)
	must(t, tr.sweeper.sweep(0))
	var opened, lost uint64
	closed := map[uint64]bool{}
	pairs[2].client.close()
	awaitState(t, pairs[2].server, tcpvet.CloseWait)
	pairs[2].server.close()
	readOut(t, tr, func(e *tcpvet.Event) error {
		switch e.Kind {
		case tcpvet.EventOpen:
			opened++
		case tcpvet.EventClose:
			if closed[e.Cookie] = true; e.Took <= 0 {
				t.Errorf("%+v: its begin was forgotten", e)
			}
		case tcpvet.EventLost:
			lost += e.Count
		}
		return nil
	})
	s := tr.Stats()
	if s.Swept != 4 || s.Lost != wantLost || lost != wantLost || s.Unfollowed != 0 {
		t.Errorf("%+v, told of %d lost; want 4 swept, %d lost", s, lost, wantLost)
	}
	if kinds&Closes != 0 && (opened != 6 || len(closed) != 2 || !closed[pairs[2].client.cookie] || !closed[pairs[2].server.cookie]) {
		t.Errorf("%d opened, %v closed: want 6, and the two ends of the last", opened, closed)
	}
	noneFollowed(t, tr)
}

// A failure that no program saw is lost where failures are told.
func TestRootSweepAttempt(t *testing.T) { kerneltest.Undisturbed(t, testSweepAttempt) }

func testSweepAttempt(t testing.TB) {
	for kinds, lost := range map[Kinds]uint64{Fails: 1, Opens | Closes: 0} {
		tr := stopped(t, Options{Kinds: kinds})
		l, at := listen(t, lo4)
		deafen(t, l)
		c := newSocket(t, unix.AF_INET, unix.SOCK_NONBLOCK)
		if err := unix.Connect(c.fd, sockaddr(at, unix.AF_INET)); !errors.Is(err, unix.EINPROGRESS) {
			t.Fatal(err)
		}
		blind(t, tr, c.close)
		// A trace sweeps as it ends, and tells of that.
		var told uint64
		until(t, "the end that was not seen", func() bool {
			readOut(t, tr, func(e *tcpvet.Event) error { told += e.Count; return nil })
			return tr.Stats().Swept > 0
		})
		if s := tr.Stats(); s.Swept != 1 || s.Lost != lost || told != lost {
			t.Errorf("kinds %d: %+v, told of %d lost, want 1 swept, %d lost", kinds, s, told, lost)
		}
		noneFollowed(t, tr)
	}
}

// A socket that is connected anew, after an end that was not seen, is another
// connection.
func TestRootSweepAgain(t *testing.T) { kerneltest.Undisturbed(t, testSweepAgain) }

func testSweepAgain(t testing.TB) {
	tr := stopped(t, Options{})
	l, at := listen(t, lo4)
	c, s := connected(t, l, at)
	s.close() // who is first here is the remote end
	awaitState(t, c, tcpvet.CloseWait)
	time.Sleep(20 * time.Millisecond) // what the second one takes is less
	blind(t, tr, func() { disconnect(t, c) })
	must(t, unix.Connect(c.fd, sockaddr(at, unix.AF_INET)))
	began := time.Now()
	again := accept(t, l)
	c.close()
	awaitState(t, again, tcpvet.CloseWait)
	again.close()
	took := time.Since(began)
	var closed []tcpvet.Event
	readOut(t, tr, func(e *tcpvet.Event) error {
		if of(tcpvet.EventClose, c.cookie)(e) {
			closed = append(closed, *e)
		}
		return nil
	})
	if len(closed) != 1 || closed[0].First != local || closed[0].CloseWait != 0 || closed[0].Took > took+time.Millisecond {
		t.Errorf("%+v: want the second one alone, within %v", closed, took)
	}
	if st := tr.Stats(); st.Swept != 1 || st.Lost < 1 {
		t.Errorf("%+v, want the end of the first one", st)
	}
}

// What has changed within a second stays, and what has just taken its place: its socket
// may be in CLOSE yet. So does what is not over.
func TestRootSweepSettled(t *testing.T) {
	tr := stopped(t, Options{Connections: 8}) // two places
	var now unix.Timespec
	must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	entry := func(cookie, changed uint64) (b [connLen]byte) {
		binary.LittleEndian.PutUint64(b[:], cookie)
		binary.LittleEndian.PutUint64(b[24:], changed)
		return b
	}
	const ahead = uint64(10 * time.Second) // no sweep of the test comes that late
	fresh, old := uint64(now.Nano())+ahead, uint64(1)
	// Their socket is at no address, and so is over. Cookies as high come never.
	const high = 1 << 60
	table := func(cookie, changed uint64) {
		b := entry(0, changed)
		must(t, tr.objects.Conns.Put(cookie, b[:]))
	}
	place := func(cookie, changed uint64) {
		b := entry(cookie, changed)
		must(t, tr.objects.Places.Put(uint32(cookie&1), b[:]))
	}
	for i, test := range []struct {
		set     func(cookie, changed uint64)
		changed uint64
		goes    bool
	}{{table, fresh, false}, {table, old, true}, {table, 0, true}, {place, fresh, false}, {place, 0, false}, {place, old, true}} {
		cookie := uint64(high + i)
		before := tr.Stats().Swept
		test.set(cookie, test.changed)
		must(t, tr.sweeper.sweep(0))
		if gone := tr.Stats().Swept-before == 1; gone != test.goes {
			t.Errorf("%d: gone: %v, want %v", i, gone, test.goes)
		}
		if err := tr.objects.Conns.Delete(cookie); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			t.Error(err)
		}
		place(cookie, 0)
		must(t, tr.objects.Places.Put(uint32(cookie&1), make([]byte, connLen)))
	}
}

// Beside sweeps without a pause nothing is swept, what stays open neither, and all is
// told.
func TestRootSweepChurn(t *testing.T) { kerneltest.Undisturbed(t, testSweepChurn) }

func testSweepChurn(t testing.TB) {
	const each, programs, stay = 3000, 2, 20
	tr := stopped(t, Options{Ring: 16 << 20, Connections: 64})
	var sweeps atomic.Int32
	tr.options.Idle = func() error {
		sweeps.Add(1)
		tr.sweeper.last = time.Time{}
		return nil
	}
	f := &follower{Tracer: tr, t: t}
	l, at := listen(t, lo4)
	var pairs []pair
	for range stay {
		c, s := connected(t, l, at)
		pairs = append(pairs, pair{c, s})
	}
	sysctl(t, "ip_local_port_range", "10000 60999")
	f.run()
	t.Cleanup(f.end)
	other, to := listen(t, lo4)
	serve(t, other)
	ends := 2 * stay
	for ends == 2*stay || sweeps.Load() < 10 {
		var parts []*part
		for range programs {
			parts = append(parts, start(t, "churn", connections{to, each}, nil))
			ends += 2 * each
		}
		for _, p := range parts {
			must(t, p.end())
		}
	}
	for _, p := range pairs {
		p.client.close()
		awaitState(t, p.server, tcpvet.CloseWait)
		p.server.close()
	}
	told := func() int {
		return len(f.all(func(e *tcpvet.Event) bool { return e.Kind == tcpvet.EventOpen || e.Kind == tcpvet.EventClose }))
	}
	until(t, "all events", func() bool { return told()+int(missedAt(ends*2)) >= ends*2 })
	f.end()
	near(t, "told", uint64(told()), ends*2, ends*2)
	st := f.Stats()
	near(t, "swept", st.Swept, 0, ends)
	if st.Unfollowed != 0 {
		t.Errorf("%d sweeps, %+v", sweeps.Load(), st)
	}
}

// A sweep is due once a minute, and a few seconds after a connection found no room.
func TestSweepDue(t *testing.T) {
	last := time.Now()
	w := &connSweeper{last: last, noRoom: 3}
	for _, test := range []struct {
		noRoom uint64
		after  time.Duration
		want   bool
	}{{3, 59 * time.Second, false}, {3, time.Minute, true}, {4, 4 * time.Second, false}, {4, 5 * time.Second, true}} {
		if got := w.due(test.noRoom, last.Add(test.after)); got != test.want {
			t.Errorf("%d without room, after %v: %v", test.noRoom, test.after, got)
		}
	}
}
