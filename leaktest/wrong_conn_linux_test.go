package leaktest

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/keepalive"
)

// Programs that use connections wrongly.

// held keeps what a program forgets to close where the collector does not find it.
var kept struct {
	sync.Mutex
	all []any
}

func hold(v any) {
	kept.Lock()
	defer kept.Unlock()
	kept.all = append(kept.all, v)
}

// peer listens, and serves each connection with f in a goroutine of its own, until
// the test is over.
func peer(t *testing.T, f func(conn net.Conn)) (addr string) {
	return kerneltest.Serve(t, "127.0.0.1:0", func(conn *net.TCPConn) { f(conn) }).String()
}

// echo answers, and closes when the peer has.
func echo(conn net.Conn) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

// greet lets echo accept: what a listener has not accepted when it closes is reset.
func greet(conn net.Conn) error {
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// hangUp closes at once.
func hangUp(conn net.Conn) { conn.Close() }

func wrongConn(t *testing.T) {
	conn, err := net.Dial("tcp", peer(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(conn); err != nil {
		t.Fatal(err)
	}
	hold(conn)
}

func wrongDialer(t *testing.T) {
	addr := peer(t, hangUp)
	var d Dialer
	for range 2 {
		conn, err := d.Dial("tcp", addr) // wrong: the peer hangs up, this end stays
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
	}
	runtime.GC() // it closes none that a hook knows
	runtime.GC()
}

func wrongKeepalive(t *testing.T) {
	conn, err := keepalive.Dialer(keepalive.Options{}).Dial("tcp", peer(t, echo)) // wrong: dropped
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(conn); err != nil {
		t.Fatal(err)
	}
}

func wrongGoroutine(t *testing.T) {
	addr := peer(t, echo)
	dialled := make(chan bool)
	go func() {
		defer close(dialled)
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		if err := greet(conn); err != nil {
			t.Error(err)
			return
		}
		dialled <- true
		_, _ = io.Copy(io.Discard, conn)
	}()
	<-dialled
}

// pool is a pool of connections, as a database has one.
type pool struct {
	addr string
	dial func(network, addr string) (net.Conn, error)
	sync.Mutex
	idle []net.Conn
}

func (p *pool) get() (net.Conn, error) {
	p.Lock()
	defer p.Unlock()
	if n := len(p.idle); n > 0 {
		conn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return conn, nil
	}
	return p.dial("tcp", p.addr) // wrong: the pool is never closed
}

func (p *pool) put(conn net.Conn) {
	p.Lock()
	defer p.Unlock()
	p.idle = append(p.idle, conn)
}

func (p *pool) close() {
	p.Lock()
	defer p.Unlock()
	for _, conn := range p.idle {
		conn.Close()
	}
	p.idle = nil
}

// query takes n connections at a time.
func (p *pool) query(t *testing.T, n int) {
	var all []net.Conn
	for range n {
		conn, err := p.get()
		if err != nil {
			t.Fatal(err)
		}
		if err := greet(conn); err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
	}
	for _, conn := range all {
		p.put(conn)
	}
}

func wrongPool(t *testing.T) {
	p := &pool{addr: peer(t, echo), dial: new(Dialer).Dial}
	p.query(t, 3)
	p.query(t, 2)
}

func wrongFile(t *testing.T) {
	conn, err := new(Dialer).Dial("tcp", peer(t, echo)) // wrong: the copy of its descriptor stays
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(conn); err != nil {
		t.Fatal(err)
	}
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	hold(file)
}

func wrongHalfClose(t *testing.T) {
	accepted := make(chan bool)
	conn, err := net.Dial("tcp", peer(t, func(conn net.Conn) {
		close(accepted)
		_, _ = io.Copy(io.Discard, conn)
		hold(conn) // it saw the end and closes as little
	}))
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	hold(conn)
}

func wrongReset(t *testing.T) {
	conn, err := net.Dial("tcp", peer(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Fatal(err)
	}
	hold(conn)
}

func wrongAccepted(t *testing.T) {
	accepted := make(chan bool)
	conn, err := net.Dial("tcp", peer(t, func(conn net.Conn) {
		hold(conn)
		close(accepted)
	}))
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	conn.Close()
}

// connect is a worker that says nothing of whose it is.
func connect(addr string, done chan<- bool) {
	conn, err := net.Dial("tcp", addr)
	if err == nil && greet(conn) == nil {
		hold(conn)
	}
	close(done)
}

func wrongUnknown(t *testing.T) {
	addr := peer(t, echo)
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quick.Check(t)
			done := make(chan bool)
			go connect(addr, done)
			<-done
		})
	}
}

// The workers of two tests read for good: their stacks show whose they are.
func wrongWorkers(t *testing.T) {
	addr := peer(t, echo)
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quick.Check(t)
			dialled := make(chan bool)
			go func() {
				conn, err := net.Dial("tcp", addr)
				if err == nil {
					err = greet(conn)
				}
				close(dialled)
				if err == nil && name == "one" {
					_, _ = io.Copy(io.Discard, conn)
				} else if err == nil {
					conn.Close()
				}
			}()
			<-dialled
		})
	}
}
