// Package opened remembers the connections that this process opened through hooks of
// ours, with the calls that opened each. It holds them weakly: a connection neither
// stays open nor stays in memory because of it, and what a hook gives its caller is the
// *net.TCPConn itself. So a close is not told: it is seen at the next look.
package opened

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// Conn is a connection that a hook told of.
type Conn struct {
	Local, Remote netip.AddrPort // an IPv4-mapped address is made IPv4
	Opened        time.Time      // when the dial returned
	Hook          string         // who told of it: "keepalive", "leaktest"

	// Opener is who dialled, or whose HTTP request had it dialled. Where net/http
	// dialled and no request told who it was, Opener has no Caller.
	Opener *Stack

	tcp  weak.Pointer[net.TCPConn]
	user atomic.Pointer[Stack]
	uses atomic.Uint64
}

// User is who made the HTTP request that was given the connection last, nil where that
// was never told. A body that is left open holds the connection of its own request,
// which an earlier one may have dialled.
func (c *Conn) User() *Stack { return c.user.Load() }

// Uses is how many requests were given the connection, as far as that was told.
func (c *Conn) Uses() uint64 { return c.uses.Load() }

// TCP gives the connection, nil where nothing refers to it any more. Do not keep it.
func (c *Conn) TCP() *net.TCPConn { return c.tcp.Value() }

// Look is what a connection is at a moment.
type Look struct {
	Open bool // this process has not closed it

	// State is its state as ss prints it, "" where the system does not tell. UNCONN
	// is a connection that has ended, by a reset or a timeout, and is not closed.
	State string

	// Since is how long ago a segment with an acknowledgement came in last. It is the
	// least that a CLOSE-WAIT can be old, and just that if nothing came after the FIN.
	// 0 on other systems than Linux.
	Since time.Duration

	// Unread is how many bytes of a CLOSE-WAIT have come in and were not read, without
	// the FIN. 0 where the system does not tell.
	Unread int

	// Acked is how many bytes that this end of a CLOSE-WAIT has sent the peer has
	// acknowledged. It only grows. 0 where the system does not tell.
	Acked uint64
}

// Look asks the system.
func (c *Conn) Look() Look {
	tcp := c.tcp.Value()
	if tcp == nil {
		return Look{}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return Look{}
	}
	var l Look
	if err := raw.Control(func(fd uintptr) { l = lookAt(fd) }); err != nil {
		return Look{} // closed (net.ErrClosed)
	}
	l.Open = true
	return l
}

// StillOpen tells whether this process has not closed it. It takes no system call.
func (c *Conn) StillOpen() bool {
	tcp := c.tcp.Value()
	if tcp == nil {
		return false
	}
	raw, err := tcp.SyscallConn()
	return err == nil && raw.Control(func(uintptr) {}) == nil
}

// known finds a connection that was told of. An entry goes when its connection is
// collected.
var known = struct {
	sync.RWMutex
	by map[weak.Pointer[net.TCPConn]]*Conn
}{by: map[weak.Pointer[net.TCPConn]]*Conn{}}

// know gives the Conn of tcp, and makes it where there is none.
func know(tcp *net.TCPConn, hook string, opener *Stack) *Conn {
	key := weak.Make(tcp)
	known.Lock()
	defer known.Unlock()
	if c := known.by[key]; c != nil {
		return c
	}
	c := &Conn{
		Local: addrPort(tcp.LocalAddr()), Remote: addrPort(tcp.RemoteAddr()),
		Opened: time.Now(), Hook: hook, Opener: opener, tcp: key,
	}
	known.by[key] = c
	runtime.AddCleanup(tcp, forget, key)
	return c
}

func forget(key weak.Pointer[net.TCPConn]) {
	known.Lock()
	delete(known.by, key)
	known.Unlock()
}

// Use notes who has been given a connection. One that no hook told of is passed over.
func Use(conn net.Conn, by *Stack) {
	tcp := inside(conn)
	if tcp == nil {
		return
	}
	key := weak.Make(tcp)
	known.RLock()
	c := known.by[key]
	known.RUnlock()
	if c != nil {
		c.user.Store(by)
		c.uses.Add(1)
	}
}

// inside finds the TCP connection in one that may wrap it, as *tls.Conn does; nil
// where there is none.
func inside(conn net.Conn) *net.TCPConn {
	const deepest = 8
	for range deepest {
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
