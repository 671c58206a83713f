package keepalive

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// collected are leaks as they are told.
type collected struct {
	mu    sync.Mutex
	leaks []Leak
	log   bytes.Buffer
}

// options track, and tell soon.
func (c *collected) options() Options {
	return Options{
		TrackLeaks: true, LeakPatience: 40 * time.Millisecond, Stats: new(Stats),
		OnLeak: func(l Leak) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.leaks = append(c.leaks, l)
		},
		Logger: slog.New(slog.NewTextHandler(locked{c}, nil)),
	}
}

// locked is the log, for slog.
type locked struct{ c *collected }

func (l locked) Write(b []byte) (int, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.c.log.Write(b)
}

func (c *collected) all() []Leak {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Leak(nil), c.leaks...)
}

// one waits for the only leak, and that it is told but once.
func (c *collected) one(t *testing.T) Leak {
	t.Helper()
	until(t, "a leak", func() bool { return len(c.all()) > 0 })
	time.Sleep(100 * time.Millisecond)
	all := c.all()
	if len(all) != 1 {
		t.Fatalf("%d leaks, want 1: %v", len(all), all)
	}
	return all[0]
}

// line gives the number of the caller's line.
func line() int {
	_, _, n, _ := runtime.Caller(1)
	return n
}

func TestLeakOfDial(t *testing.T) {
	l := hangUp(t, "127.0.0.1:0")
	var c collected
	d := Dialer(c.options())
	conn, err := d.Dial("tcp", l.String())
	at := line() - 1
	if err != nil {
		t.Fatal(err)
	}
	leak := c.one(t)
	if leak.State != "CLOSE-WAIT" || leak.Age < 40*time.Millisecond || leak.Local.String() != conn.LocalAddr().String() || leak.Remote.String() != l.String() || leak.Request != nil {
		t.Errorf("%+v", leak)
	}
	if leak.Caller.Line != at || !strings.HasSuffix(leak.Caller.Function, "TestLeakOfDial") {
		t.Errorf("by %s line %d, want line %d of this test", leak.Caller.Function, leak.Caller.Line, at)
	}
	if got := states(t, l.String())["CLOSE-WAIT"]; got != 1 {
		t.Errorf("ss sees %d in CLOSE-WAIT", got)
	}
	c.mu.Lock()
	log := c.log.String()
	c.mu.Unlock()
	for _, words := range []string{"level=WARN", "state=CLOSE-WAIT", "remote=" + l.String(), fmt.Sprintf("leak_linux_test.go:%d", at)} {
		if !strings.Contains(log, words) {
			t.Errorf("the log %q lacks %q", log, words)
		}
	}
	if n := d.stats.Read(); n.Leaks != 1 || n.Open != 1 {
		t.Errorf("counted %+v", n)
	}
	// When it is closed nothing is left to look at.
	conn.Close()
	until(t, "no timer is left", func() bool {
		d.leaks.mu.Lock()
		defer d.leaks.mu.Unlock()
		return !d.leaks.armed
	})
}

// listenOnce serves the first connection with f.
func listenOnce(t testing.TB, f func(*net.TCPConn)) net.Listener {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	go func() {
		if c, err := l.Accept(); err == nil {
			f(c.(*net.TCPConn))
		}
	}()
	return l
}

// A reset ends the connection and frees its port; the descriptor is leaked all the same.
func TestLeakAfterReset(t *testing.T) {
	l := listenOnce(t, func(c *net.TCPConn) {
		c.Read(make([]byte, 1))
		c.SetLinger(0)
		c.Close()
	})
	var c collected
	conn, err := Dialer(c.options()).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte{1})
	if leak := c.one(t); leak.State != "UNCONN" {
		t.Errorf("%+v", leak)
	}
}

// usePatience is the patience of useOn.
const usePatience = 800 * time.Millisecond

// useOn dials and uses the connection for three times the patience, of which no leak is
// told, and then no more, of which one is.
func useOn(t *testing.T, l net.Listener, use func(net.Conn) error) (net.Conn, Leak) {
	t.Helper()
	var c collected
	o := c.options()
	o.LeakPatience = usePatience
	conn, err := Dialer(o).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for began := time.Now(); time.Since(began) < 3*usePatience; time.Sleep(10 * time.Millisecond) {
		if err := use(conn); err != nil {
			t.Fatal(err)
		}
	}
	if leaks := c.all(); len(leaks) != 0 {
		t.Fatalf("%v", leaks)
	}
	return conn, c.one(t)
}

// Who still reads what had come in before the FIN does not leak; who stops does.
func TestReadsOn(t *testing.T) {
	l := listenOnce(t, func(c *net.TCPConn) {
		c.Write(make([]byte, 1000))
		c.Close()
	})
	_, leak := useOn(t, l, func(conn net.Conn) error {
		_, err := conn.Read(make([]byte, 1))
		return err
	})
	if leak.Age < 4*usePatience-10*time.Millisecond {
		t.Errorf("%v after the FIN, want about %v", leak.Age, 4*usePatience)
	}
}

// Who still sends, to a peer that has said all it had to say and reads on, does not leak;
// who stops does.
func TestWritesOn(t *testing.T) {
	read := make(chan int64, 1)
	l := listenOnce(t, func(c *net.TCPConn) {
		defer c.Close()
		c.CloseWrite()
		n, _ := io.Copy(io.Discard, c)
		read <- n
	})
	var sent int64
	conn, leak := useOn(t, l, func(conn net.Conn) error {
		n, err := conn.Write([]byte("more"))
		sent += int64(n)
		return err
	})
	// Acknowledgements hide when the FIN came: its age counts from the first look.
	if leak.Age < 4*usePatience-usePatience/4-10*time.Millisecond {
		t.Errorf("%v after the FIN, want about %v", leak.Age, 4*usePatience)
	}
	conn.Close()
	if got := <-read; got != sent {
		t.Errorf("the peer read %d of %d bytes", got, sent)
	}
}

// What a right program does is no leak: idle connections that the server closes, bodies
// that are closed, a slow answer.
func TestNoLeak(t *testing.T) {
	s, hangUp := server(t, false)
	var c collected
	client := &http.Client{Transport: Transport(c.options())}
	getTogether(t, client, s.URL, 20)
	resp, err := client.Get(s.URL + "/long")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	resp.Body.Close()
	hangUp()
	time.Sleep(200 * time.Millisecond)
	if leaks := c.all(); len(leaks) != 0 {
		t.Errorf("%v", leaks)
	}
}

// To be remembered does not keep a connection: one that is forgotten is collected, and
// closed by that, as package net does.
func TestTrackingHoldsNothing(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		ended <- err
	}()
	o := (&collected{}).options()
	o.Budget = &Budget{Ports: 10}
	d := Dialer(o)
	if _, err := d.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	until(t, "the peer sees the end", func() bool {
		runtime.GC()
		select {
		case err := <-ended:
			return err == io.EOF
		default:
			return false
		}
	})
	if n := d.stats.Read().Open; n != 0 {
		t.Errorf("%d open", n)
	}
}
