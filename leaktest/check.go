package leaktest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Options change what [Check] and [Main] do. The zero value is what they use.
type Options struct {
	// Settle is how long connections may take to close after the end. A test that left
	// none is not waited for. 0 means 1 s; with a negative one the first look decides.
	Settle time.Duration

	// Ignore tells of connections that are to stay open, by their addresses or by the
	// function that opened them ([Conn.By]). nil ignores none. A connection whose
	// both ends the process holds is asked about once, as its opener's.
	Ignore func(Conn) bool
}

// settle is a thousand times what a close on loopback takes, for loaded machines.
const settle = time.Second

// Check fails t for each connection that is opened from now on, by this process, and
// is still open when t and its subtests are over and its other cleanups have run: so
// it stands first. It closes the idle connections of http.DefaultTransport, now and
// then, but not while other tests run or requests are under way: then idle connections
// of that transport, and of its copies, do not count.
//
// In parallel tests a connection counts against the test that its stack or the
// goroutines that wait on it belong to. Where none of them shows whose it is, the
// test's log tells of it and nobody fails; [Main] counts those too. One that was in a
// pool before t began counts where a request of t was given it last and has left the
// body open.
func Check(t testing.TB) {
	t.Helper()
	Options{}.Check(t)
}

// Check is [Check] with options.
func (o Options) Check(t testing.TB) {
	t.Helper()
	g := here()
	c := &check{Options: o, t: t, goroutine: g.id, parent: g.parent, began: time.Now()}
	if mayPool() {
		closeIdle(g.id)
	}
	checked.add(g.id)
	book.open()
	c.remember(held())
	t.Cleanup(func() {
		t.Helper()
		defer book.close()
		c.finish()
	})
}

// check is a test, or a whole run, that is looked after.
type check struct {
	Options
	t                 testing.TB // nil of a whole run
	goroutine, parent uint64     // that of the test, and of who runs it
	began             time.Time
	old               map[key]bool   // sockets of before
	uses              map[key]uint64 // requests that connections of before were given
	blind             error          // why descriptors cannot be listed
	crowd             *bool          // other tests may run meanwhile; asked when it matters
}

// remember keeps what was open before: by the descriptors, or where they cannot be listed
// by the hooks.
func (c *check) remember(old map[key]bool, err error) {
	if c.old, c.blind = old, err; err != nil {
		c.old = book.keys()
	}
	c.uses = book.uses()
}

// finish tells of what is left open.
func (c *check) finish() {
	c.t.Helper()
	own, perhaps := c.left()
	if c.blind != nil {
		tellBlind(c.t, c.blind)
	}
	for _, text := range c.report(own) {
		c.t.Errorf("%s", text)
	}
	for _, text := range c.report(perhaps) {
		c.t.Logf("%s", text)
	}
}

// left waits until nothing that was opened since is open, or until it has waited
// long enough: for what fails nobody a tenth of that. It gives what counts against
// the test, and what may.
func (c *check) left() (own, perhaps []*leak) {
	patience := c.Settle
	if patience == 0 {
		patience = settle
	}
	const first, longest = time.Millisecond, 100 * time.Millisecond
	began := time.Now()
	for pause := first; ; pause = min(2*pause, longest) {
		own, perhaps = c.open()
		waited := time.Since(began)
		if len(own)+len(perhaps) == 0 || len(own) == 0 && waited > patience/10 || waited > patience {
			break
		}
		if pause == first {
			collector.pause()
			defer collector.resume()
		}
		time.Sleep(pause)
	}
	for _, l := range own {
		told.add(l.key)
	}
	return own, perhaps
}

// open looks once.
func (c *check) open() (own, perhaps []*leak) {
	if len(leaks(c.look(c.old), book.find)) == 0 && !book.some(c.took) {
		return nil, nil
	}
	emptied := closeIdle(c.goroutine)
	// The other end of a connection may be an old socket.
	found := leaks(c.look(nil), book.find)
	waits, all := waiting()
	for _, l := range found {
		known := c.knew(l.socket) || l.other != nil && c.knew(l.other)
		if known && !c.took(l.key, l.entry) {
			continue
		}
		for _, fd := range l.fds {
			l.waiting = append(l.waiting, waits[fd]...)
		}
		l.use = useOf(l, all)
		if c.Ignore != nil && c.Ignore(l.conn()) {
			continue
		}
		said := others
		if !known {
			said = c.verdict(l, emptied)
		} else if l.use == useBody {
			said = mine
		}
		switch said {
		case mine:
			own = append(own, l)
		case unsure:
			perhaps = append(perhaps, l)
		}
	}
	return own, perhaps
}

// knew tells whether the socket was there before, or has been told of.
func (c *check) knew(s *socket) bool { return c.old[s.key] || told.has(s.key) }

// took tells of a connection of before that this test's request was given last, out of
// a pool: the body of that may be left open.
func (c *check) took(k key, e *entry) bool {
	return c.t != nil && e != nil && c.old[k] && !told.has(k) && e.conn.Uses() != c.uses[k] && e.conn.StillOpen() &&
		c.byFrames(e.conn.User().Frames(), true) == mine
}

// verdict tells whether the connection counts. emptied tells that the default
// transport's pool has been, so that what is left in one is another's.
func (c *check) verdict(l *leak, emptied bool) verdict {
	said := mine
	if c.t != nil {
		if c.crowd == nil {
			yes := parallel(c.t)
			c.crowd = &yes
		}
		if said = c.judge(l, *c.crowd); said == unsure {
			l.doubt = "other tests run at the same time, and nothing shows whose it is"
		}
	}
	if emptied || said == others || l.entry == nil || l.entry.conn.Hook != defaultName || l.state == stateCloseWait {
		return said
	}
	switch l.use {
	case useIdle:
		return others // the pool's
	case useShared, useUnknown:
		l.doubt = "it may be idle in the pool, which is not emptied while requests are made"
		return unsure
	}
	return said
}

// look reads sockets as well as the system lets it.
func (c *check) look(old map[key]bool) []*socket {
	if c.blind == nil {
		all, err := look(old)
		if err == nil {
			return all
		}
		c.blind = err
	}
	return book.sockets(old)
}

var blindOnce sync.Once

// tellBlind says once that only hooks are known.
func tellBlind(t testing.TB, err error) {
	t.Helper()
	blindOnce.Do(func() { t.Log(blindWords(err)) })
}

func blindWords(err error) string {
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Sprintf("leaktest knows only connections that were opened through its hooks: %v", err)
	}
	return fmt.Sprintf("leaktest knows only connections that were opened through its hooks: %v; on Linux it needs /proc", err)
}

// checked are the goroutines of all tests that were checked: the runtime gives no
// number twice.
var checked seen[uint64]

// told are the sockets that were told of: nobody is told twice.
var told seen[key]

// seen is a set that grows.
type seen[T comparable] struct {
	mu  sync.Mutex
	set map[T]bool
}

func (s *seen[T]) add(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[T]bool{}
	}
	s.set[v] = true
}

func (s *seen[T]) has(v T) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set[v]
}
