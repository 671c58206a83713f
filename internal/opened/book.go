package opened

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// Book is a set of connections. The zero value is empty. Its methods may be called
// from several goroutines at a time.
type Book struct {
	mu    sync.Mutex
	conns map[*Conn]uint64 // in which order they came
	n     uint64
	full  int // so many are worth a look at which are still open
}

// leastFull is how many a Book takes before it looks for the first time.
const leastFull = 256

func (b *Book) add(c *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.conns[c]; ok {
		return
	}
	if b.conns == nil {
		b.conns = map[*Conn]uint64{}
	}
	b.n++
	b.conns[c] = b.n
	// Nobody may ever ask, and what is closed must not gather.
	if len(b.conns) > max(b.full, leastFull) {
		b.drop()
		b.full = 2 * len(b.conns)
	}
}

// drop forgets what this process has closed.
func (b *Book) drop() {
	maps.DeleteFunc(b.conns, func(c *Conn, _ uint64) bool { return !c.StillOpen() })
}

// Open gives those that this process has not closed, in the order in which they were
// opened, and forgets the others.
func (b *Book) Open() []*Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop()
	return slices.SortedFunc(maps.Keys(b.conns), func(a, c *Conn) int { return int(b.conns[a]) - int(b.conns[c]) })
}

// Len counts those that this process has not closed, and forgets the others.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop()
	return len(b.conns)
}

// watching are the books that every hook tells.
var watching struct {
	n atomic.Int32
	sync.Mutex
	books map[*Book]int
}

// Watch has every hook tell b of each connection that is opened from now on, until
// stop.
func Watch(b *Book) (stop func()) {
	watching.Lock()
	defer watching.Unlock()
	if watching.books == nil {
		watching.books = map[*Book]int{}
	}
	watching.books[b]++
	watching.n.Add(1)
	return sync.OnceFunc(func() {
		watching.Lock()
		defer watching.Unlock()
		if watching.books[b]--; watching.books[b] == 0 {
			delete(watching.books, b)
		}
		watching.n.Add(-1)
	})
}

// Watched tells whether somebody watches all hooks.
func Watched() bool { return watching.n.Load() > 0 }

// Note tells of a connection that a hook has just opened: its own books, which may be
// nil, and those that watch. ctx is the context of the dial, which may carry who made
// the request; else it is the goroutine that calls Note, without its innermost skip
// calls. conn is or wraps a *net.TCPConn; of others nothing is noted. Note gives nil
// where nothing was.
func Note(ctx context.Context, conn net.Conn, hook string, skip int, own ...*Book) *Conn {
	wanted := Watched()
	for _, b := range own {
		wanted = wanted || b != nil
	}
	if !wanted {
		return nil
	}
	tcp := inside(conn)
	if tcp == nil {
		return nil
	}
	opener := carriedBy(ctx)
	if opener == nil {
		opener = Callers(skip + 1)
	}
	c := know(tcp, hook, opener)
	for _, b := range own {
		if b != nil {
			b.add(c)
		}
	}
	watching.Lock()
	for b := range watching.books {
		b.add(c)
	}
	watching.Unlock()
	tell(c, tcp)
	return c
}
