package leaktest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a test that keeps what it is told.
type recorder struct {
	testing.TB
	name     string
	errors   []string
	logs     []string
	cleanups []func()
	parallel bool
}

func (r *recorder) Name() string { return r.name }
func (r *recorder) Helper()      {}
func (r *recorder) Setenv(string, string) {
	if r.parallel {
		panic("testing: test using t.Setenv can not use t.Parallel")
	}
}
func (r *recorder) Cleanup(f func())           { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Log(args ...any)            { r.logs = append(r.logs, fmt.Sprint(args...)) }
func (r *recorder) Logf(f string, args ...any) { r.logs = append(r.logs, fmt.Sprintf(f, args...)) }
func (r *recorder) Errorf(f string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(f, args...))
}

func (r *recorder) end() {
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		f := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		f()
	}
}

// A clean test is not waited for, however long the settle time.
func TestCheckCleanAtOnce(t *testing.T) {
	r := &recorder{name: t.Name()}
	Options{Settle: time.Hour}.Check(r)
	srv := serve(t, hello)
	rightGet(t, http.DefaultClient, srv.URL)
	r.end()
	if len(r.errors)+len(r.logs) != 0 {
		t.Errorf("told %q, %q", r.errors, r.logs)
	}
}

// What is told once is not told again: by the test around, by the next one.
func TestCheckOnce(t *testing.T) {
	outer, inner, next := &recorder{name: t.Name()}, &recorder{name: t.Name()}, &recorder{name: t.Name()}
	o := Options{Settle: -1}
	l := listen(t, "127.0.0.1:0")
	o.Check(outer)
	o.Check(inner)
	ends(t, &net.Dialer{}, l)
	inner.end()
	outer.end()
	o.Check(next)
	next.end()
	if len(inner.errors) != 1 || len(outer.errors) != 0 || len(next.errors) != 0 {
		t.Errorf("told %q, then %q and %q", inner.errors, outer.errors, next.errors)
	}
}

// What may be another test's is logged, and not waited for as long.
func TestCheckDoubt(t *testing.T) {
	r := &recorder{name: t.Name(), parallel: true}
	const patience = 10 * time.Second
	Options{Settle: patience}.Check(r)
	ends(t, &net.Dialer{}, listen(t, "127.0.0.1:0"))
	began := time.Now()
	r.end()
	if took := time.Since(began); took >= patience {
		t.Errorf("waited %v", took)
	}
	if len(r.errors) != 0 || len(r.logs) != 1 || !strings.Contains(r.logs[0], "not counted: other tests run at the same time") {
		t.Errorf("told %q, logged %q", r.errors, r.logs)
	}
}

// A connection of before is not the test's, though it is accepted later.
func TestCheckAcceptedLater(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &recorder{name: t.Name()}
	Options{Settle: -1}.Check(r)
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r.end()
	if len(r.errors) != 0 {
		t.Errorf("told %q", r.errors)
	}
}

// Nor is one of which an end was there before, where nothing tells who opened it.
func TestCheckOldEnd(t *testing.T) {
	client, server := ends(t, &net.Dialer{}, listen(t, "127.0.0.1:0"))
	for _, old := range []*net.TCPConn{client, server} {
		k, err := keyOfConn(old)
		if err != nil {
			t.Fatal(err)
		}
		c := &check{Options: Options{Settle: -1}, t: &recorder{name: t.Name()}}
		c.old, err = held()
		if err != nil {
			t.Fatal(err)
		}
		other := server
		if old == server {
			other = client
		}
		fresh, err := keyOfConn(other)
		if err != nil {
			t.Fatal(err)
		}
		delete(c.old, fresh)
		if !c.old[k] {
			t.Fatal("the end of before is not known")
		}
		if own, perhaps := c.open(); len(own)+len(perhaps) != 0 {
			t.Errorf("told %+v, %+v", own, perhaps)
		}
	}
}

// A goroutine of the test around a subtest opens what is its own.
func TestCheckParents(t *testing.T) {
	addr := listen(t, "127.0.0.1:0").Addr().String()
	opens, opened := make(chan bool), make(chan net.Conn)
	go func() {
		<-opens
		conn, err := new(Dialer).Dial("tcp", addr)
		if err != nil {
			t.Error(err)
		}
		opened <- conn
	}()
	t.Run("sub", func(t *testing.T) {
		r := &recorder{name: t.Name()}
		Options{Settle: -1}.Check(r)
		opens <- true
		conn := <-opened
		defer conn.Close()
		r.end()
		if len(r.errors) != 0 {
			t.Errorf("told %q", r.errors)
		}
	})
}

// A name is in the message where the stack has it.
func TestCheckNames(t *testing.T) {
	r := &recorder{name: t.Name()}
	Options{Settle: -1}.Check(r)
	l := listen(t, "127.0.0.1:0")
	conn, err := new(Dialer).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.end()
	if len(r.errors) != 1 || !strings.HasPrefix(r.errors[0], "check_linux_test.go:") ||
		!strings.Contains(r.errors[0], fmt.Sprintf(": connection to %s was left open (ESTAB) by TestCheckNames\n", l.Addr())) {
		t.Errorf("told %q", r.errors)
	}
}

// Where descriptors cannot be listed what the hooks know is told, and that it is no
// more than that, once.
func TestCheckBlind(t *testing.T) {
	blindOnce = sync.Once{} // with -count the test runs again
	blindly := func(r *recorder) {
		c := &check{Options: Options{Settle: -1}, t: r, goroutine: current(), began: time.Now()}
		book.open()
		defer book.close()
		l := listen(t, "127.0.0.1:0")
		before, err := new(Dialer).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer before.Close()
		c.remember(nil, errNone)
		for _, dial := range []func(string, string) (net.Conn, error){net.Dial, new(Dialer).Dial, new(Dialer).Dial} {
			conn, err := dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		conn, err := new(Dialer).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		c.finish()
	}
	first, second := &recorder{name: t.Name()}, &recorder{name: t.Name()}
	blindly(first)
	blindly(second)
	for _, r := range []*recorder{first, second} {
		if len(r.errors) != 1 || !strings.Contains(r.errors[0], "2 connections to ") {
			t.Errorf("told %q", r.errors)
		}
	}
	if len(first.logs) != 1 || !strings.Contains(first.logs[0], "knows only connections that were opened through its hooks") || len(second.logs) != 0 {
		t.Errorf("logged %q, then %q", first.logs, second.logs)
	}
}

var errNone = fmt.Errorf("list own descriptors (mount /proc): %w", io.ErrUnexpectedEOF)
