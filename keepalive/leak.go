package keepalive

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// Leak is a connection that the peer has closed, or that has ended, and that this
// program still holds.
type Leak struct {
	Local, Remote netip.AddrPort

	// State is CLOSE-WAIT, or UNCONN where a reset or a timeout has ended the
	// connection since: the local port is free again then, the descriptor is not.
	State  string
	Age    time.Duration // since the peer closed, at least
	Opened time.Time

	// Stack is who opened the connection: the call that dialled, or that made the HTTP
	// request for which net/http dialled, innermost first. Request is who made the
	// HTTP request that was given the connection last, which is the one whose body
	// is not closed; nil where there was none, or it is not known. For https through
	// Transport both are known only to a Client of this package.
	Stack, Request []runtime.Frame

	// Caller is the innermost call of the program's own code in Request, else in Stack;
	// zero where none is known.
	Caller runtime.Frame
}

// String tells of the leak in one line.
func (l Leak) String() string {
	at := "opened at a place that is not known"
	if l.Caller.Function != "" {
		verb := "opened"
		if l.Request != nil {
			verb = "requested"
		}
		at = fmt.Sprintf("%s by %s at %s:%d", verb, l.Caller.Function, l.Caller.File, l.Caller.Line)
	}
	return fmt.Sprintf("%s from %s to %s for %s, %s", l.State, l.Local, l.Remote, l.Age.Round(time.Millisecond), at)
}

func leakOf(c *opened.Conn, state string, age time.Duration) Leak {
	l := Leak{Local: c.Local, Remote: c.Remote, State: state, Age: age, Opened: c.Opened, Stack: c.Opener.Frames(), Request: c.User().Frames()}
	var ok bool
	if l.Caller, ok = c.User().Caller(); !ok {
		l.Caller, _ = c.Opener.Caller()
	}
	return l
}

// leakWatch looks at the open connections from time to time. It has no goroutine, and
// no timer while none is open.
type leakWatch struct {
	patience time.Duration
	every    time.Duration
	tell     func(Leak)
	log      *slog.Logger
	stats    *Stats
	book     opened.Book

	mu    sync.Mutex
	armed bool
	seen  map[*opened.Conn]ended // from look to look
}

// ended is a connection that the peer has closed.
type ended struct {
	since  time.Time // at the latest
	used   time.Time // when it was seen to be read, or written to, since
	unread int       // bytes
	acked  uint64    // bytes
	state  string
	told   bool
}

// idle is for how long nobody has done anything with it. A large body is read for longer
// than the server needs to send and close, and a peer that has said all it had to say may
// read on (RFC 9293 section 3.6).
func (e *ended) idle(now time.Time) time.Duration {
	if e.used.After(e.since) {
		return now.Sub(e.used)
	}
	return now.Sub(e.since)
}

// The looks are a quarter of the patience apart, so that a leak is told of no later
// than a quarter after it, and within bounds.
const (
	leastBetween = 10 * time.Millisecond
	mostBetween  = 15 * time.Second
)

func newLeakWatch(o *Options, stats *Stats) *leakWatch {
	patience := orDefault(o.LeakPatience, defaultPatience)
	w := &leakWatch{
		patience: patience, every: min(max(patience/4, leastBetween), mostBetween),
		tell: o.OnLeak, log: o.Logger, stats: stats, seen: map[*opened.Conn]ended{},
	}
	if w.log == nil {
		w.log = slog.Default()
	}
	return w
}

// arm has the next look come, now that there is something to look at.
func (w *leakWatch) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.armed {
		w.armed = true
		time.AfterFunc(w.every, w.look)
	}
}

func (w *leakWatch) look() {
	for _, l := range w.leaks(time.Now()) {
		w.stats.leaked.Add(1)
		attrs := []slog.Attr{
			slog.String("local", l.Local.String()), slog.String("remote", l.Remote.String()),
			slog.String("state", l.State), slog.Duration("age", l.Age), slog.Time("opened", l.Opened),
		}
		if l.Caller.Function != "" {
			attrs = append(attrs, slog.String("caller", l.Caller.Function), slog.String("at", fmt.Sprintf("%s:%d", l.Caller.File, l.Caller.Line)))
		}
		w.log.LogAttrs(context.Background(), slog.LevelWarn, "connection leaked: the peer has closed it, this program has not", attrs...)
		if w.tell != nil {
			w.tell(l)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// A connection that has come since arms it itself, once armed is false.
	if w.armed = w.book.Len() > 0; w.armed {
		time.AfterFunc(w.every, w.look)
	}
}

// leaks gives those that have become leaks since it was asked last.
func (w *leakWatch) leaks(now time.Time) (fresh []Leak) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[*opened.Conn]ended{}
	for _, c := range w.book.Open() {
		e, ok := w.ended(c, now)
		if !ok {
			continue
		}
		if e.idle(now) >= w.patience && !e.told {
			e.told = true
			fresh = append(fresh, leakOf(c, e.state, now.Sub(e.since)))
		}
		seen[c] = e
	}
	w.seen = seen
	return fresh
}

// ended looks at one connection.
func (w *leakWatch) ended(c *opened.Conn, now time.Time) (ended, bool) {
	l := c.Look()
	if !l.Open || l.State != "CLOSE-WAIT" && l.State != "UNCONN" {
		return ended{}, false
	}
	e, ok := w.seen[c]
	if !ok {
		e.since = now
	}
	if since := now.Add(-l.Since); since.Before(e.since) {
		e.since = since
	}
	if ok && (l.Unread != e.unread || l.Acked != e.acked) {
		e.used = now
	}
	e.state, e.unread, e.acked = l.State, l.Unread, l.Acked
	return e, true
}

// toward gives the leaks to one destination, told or not, at most so many of them in
// words, and how many there are.
func (w *leakWatch) toward(remote netip.AddrPort, most int) (leaks []Leak, n int) {
	if w == nil {
		return nil, 0
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.book.Open() {
		if c.Remote != remote {
			continue
		}
		if e, ok := w.ended(c, now); ok && e.state == "CLOSE-WAIT" {
			if n++; n <= most {
				leaks = append(leaks, leakOf(c, e.state, now.Sub(e.since)))
			}
		}
	}
	return leaks, n
}
