package opened

import (
	"net"
	"slices"
	"sync"
)

// told are the functions that every hook tells.
var told struct {
	sync.Mutex
	all []*func(c *Conn, tcp *net.TCPConn)
}

// Tell has every hook call f for each connection that is opened from now on, until
// stop: in the goroutine that dialled, before its caller gets the connection. What f
// keeps of tcp is not collected.
func Tell(f func(c *Conn, tcp *net.TCPConn)) (stop func()) {
	told.Lock()
	defer told.Unlock()
	told.all = append(slices.Clip(told.all), &f)
	watching.n.Add(1)
	return sync.OnceFunc(func() {
		told.Lock()
		defer told.Unlock()
		told.all = slices.DeleteFunc(slices.Clone(told.all), func(g *func(*Conn, *net.TCPConn)) bool { return g == &f })
		watching.n.Add(-1)
	})
}

// tell calls them. None holds a lock meanwhile, so that f may look at connections.
func tell(c *Conn, tcp *net.TCPConn) {
	told.Lock()
	all := told.all
	told.Unlock()
	for _, f := range all {
		(*f)(c, tcp)
	}
}
