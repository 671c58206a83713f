package opened

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// pair gives both ends of a connection over loopback.
func pair(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestBook(t *testing.T) {
	var b Book
	ctx := context.Background()
	var conns []*net.TCPConn
	for range 5 {
		c, _ := pair(t)
		conns = append(conns, c)
		noted := Note(ctx, c, "test", 0, nil, &b)
		if noted == nil || noted.TCP() != c || noted.Hook != "test" || noted.Remote.String() != c.RemoteAddr().String() || noted.Local.String() != c.LocalAddr().String() {
			t.Fatalf("%+v", noted)
		}
		if f, ok := noted.Opener.Caller(); !ok || !strings.Contains(f.Function, "TestBook") {
			t.Errorf("opened by %s", f.Function)
		}
		// Told of twice, it is the same.
		if again := Note(ctx, tls.Client(c, &tls.Config{}), "other", 0, &b); again != noted || again.Hook != "test" {
			t.Errorf("%+v", again)
		}
	}
	Note(ctx, conns[0], "test", 0, &b)
	open := b.Open()
	if len(open) != 5 || b.Len() != 5 {
		t.Fatalf("%d open", len(open))
	}
	for i, c := range open {
		if c.TCP() != conns[i] {
			t.Error("not in the order of opening")
		}
	}
	conns[2].Close()
	if open = b.Open(); len(open) != 4 || open[2].TCP() != conns[3] || b.Len() != 4 {
		t.Errorf("%d open after a close", len(open))
	}
	runtime.KeepAlive(conns)
}

// A book that nobody asks does not gather what is closed.
func TestBookStaysSmall(t *testing.T) {
	var b Book
	for range 4 * leastFull {
		c, s := pair(t)
		Note(context.Background(), c, "test", 0, &b)
		c.Close()
		s.Close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.conns) > leastFull+1 {
		t.Errorf("%d are kept", len(b.conns))
	}
}

// Nobody is told who did not ask, and who did is told until he stops.
func TestWatch(t *testing.T) {
	c, _ := pair(t)
	if Watched() || Note(context.Background(), c, "test", 0) != nil {
		t.Fatal("somebody watches")
	}
	var one, two Book
	stop := Watch(&one)
	stopToo, stopOver := Watch(&two), Watch(&two)
	stopOver() // it watches still
	if !Watched() {
		t.Error("nobody watches")
	}
	Note(context.Background(), c, "test", 0)
	stop()
	stop() // twice is once
	d, _ := pair(t)
	Note(context.Background(), d, "test", 0)
	if one.Len() != 1 || two.Len() != 2 {
		t.Errorf("%d and %d, want 1 and 2", one.Len(), two.Len())
	}
	stopToo()
	if Watched() {
		t.Error("somebody watches still")
	}
	// What is no TCP is passed over.
	p, q := net.Pipe()
	defer p.Close()
	defer q.Close()
	if Note(context.Background(), p, "test", 0, &one) != nil {
		t.Error("a pipe was noted")
	}
	Use(p, nil)
}

// endless wraps itself.
type endless struct{ net.Conn }

func (e endless) NetConn() net.Conn { return e }

func TestInsideEnds(t *testing.T) {
	if inside(endless{}) != nil {
		t.Error("a connection was found in none")
	}
}

// A connection that nobody refers to is collected, and forgotten.
func TestHoldsWeakly(t *testing.T) {
	var b Book
	func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		Note(context.Background(), c, "test", 0, &b)
	}()
	until(t, "it is forgotten", func() bool {
		runtime.GC()
		known.RLock()
		defer known.RUnlock()
		for _, c := range known.by {
			if c.Hook == "test" && c.TCP() == nil {
				return false
			}
		}
		return b.Len() == 0
	})
}
