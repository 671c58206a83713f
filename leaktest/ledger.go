package leaktest

import (
	"maps"
	"net"
	"sync"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// ledger keeps what the hooks tell while something is checked. It holds the
// connections themselves: were one that the program dropped collected, the runtime
// would close it, and the leak would show or not as the collector runs.
type ledger struct {
	turn  sync.Mutex // guards users and stop; add, which a hook calls, does not take it
	users int
	stop  func()

	sync.Mutex
	conns map[key]*entry // nil while nothing is checked
	prune int            // at how many entries those of closed sockets are dropped
}

// entry is a connection that a hook told of.
type entry struct {
	conn *opened.Conn
	tcp  *net.TCPConn

	// The goroutine that dialled, and the one that started it, which made the request
	// where net/http dialled; 0 where not known.
	goroutine, parent uint64
}

var book ledger

const fewEntries = 4096

// open has the hooks tell the ledger, until close.
func (l *ledger) open() {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.users++; l.users == 1 {
		l.reset(map[key]*entry{})
		l.stop = opened.Tell(l.add)
	}
}

func (l *ledger) close() {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.users--; l.users == 0 {
		l.stop()
		l.reset(nil)
	}
}

func (l *ledger) reset(conns map[key]*entry) {
	l.Lock()
	defer l.Unlock()
	l.conns, l.prune = conns, fewEntries
}

// add is called by the goroutine that dialled.
func (l *ledger) add(c *opened.Conn, tcp *net.TCPConn) {
	g := here()
	e := &entry{conn: c, tcp: tcp, goroutine: g.id, parent: g.parent}
	k, err := keyOfConn(tcp)
	if err != nil {
		k = key{local: c.Local, remote: c.Remote}
	}
	l.Lock()
	defer l.Unlock()
	if l.conns == nil {
		return
	}
	l.conns[k] = e
	if len(l.conns) >= l.prune {
		l.drop()
		l.prune = max(fewEntries, 2*len(l.conns))
	}
}

// drop forgets connections of which no descriptor is left.
func (l *ledger) drop() {
	keys, err := held()
	for k, e := range l.conns {
		if err == nil && !keys[k] || err != nil && !e.conn.Look().Open {
			delete(l.conns, k)
		}
	}
}

// find gives what a hook told of a socket; nil for nothing.
func (l *ledger) find(k key) *entry {
	l.Lock()
	defer l.Unlock()
	return l.conns[k]
}

// keys gives those of all connections that hooks told of.
func (l *ledger) keys() map[key]bool {
	l.Lock()
	defer l.Unlock()
	keys := map[key]bool{}
	for k := range l.conns {
		keys[k] = true
	}
	return keys
}

// uses gives how many requests each connection was given that hooks told of.
func (l *ledger) uses() map[key]uint64 {
	l.Lock()
	defer l.Unlock()
	uses := map[key]uint64{}
	for k, e := range l.conns {
		uses[k] = e.conn.Uses()
	}
	return uses
}

// some tells whether f is true of a connection that hooks told of.
func (l *ledger) some(f func(key, *entry) bool) bool {
	l.Lock()
	all := maps.Clone(l.conns)
	l.Unlock()
	for k, e := range all {
		if f(k, e) {
			return true
		}
	}
	return false
}

// sockets gives what is known of connections that are open, on a system that does
// not list descriptors.
func (l *ledger) sockets(old map[key]bool) []*socket {
	l.Lock()
	defer l.Unlock()
	var all []*socket
	for k, e := range l.conns {
		look := e.conn.Look()
		if old[k] || !look.Open {
			continue
		}
		all = append(all, &socket{
			key: k, local: e.conn.Local, remote: e.conn.Remote,
			state: look.State, used: true, silent: look.Since, opener: openedHere,
		})
	}
	return all
}

// keyOfConn gives the key of a connection's socket.
func keyOfConn(tcp *net.TCPConn) (k key, err error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return key{}, err
	}
	if e := raw.Control(func(fd uintptr) { k, err = keyOf(int(fd)) }); e != nil {
		return key{}, e
	}
	return k, err
}
