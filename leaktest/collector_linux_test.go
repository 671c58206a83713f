package leaktest

import (
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

//go:noinline
func drop(t *testing.T, addr string) {
	if _, err := net.Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
}

var garbage []byte

// A connection that was dropped is told, though others make garbage while it is waited
// for.
func TestDroppedIsTold(t *testing.T) {
	r := &recorder{name: t.Name()}
	Options{Settle: 300 * time.Millisecond}.Check(r)
	runtime.GC() // the next one is far, but for the garbage below
	drop(t, listen(t, "127.0.0.1:0").Addr().String())
	stop, done := make(chan bool), make(chan bool)
	time.AfterFunc(50*time.Millisecond, func() {
		defer close(done)
		for range 50 {
			garbage = make([]byte, 1<<20)
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	r.end()
	close(stop)
	<-done
	if len(r.errors) != 1 {
		t.Errorf("told %q", r.errors)
	}
}

// It is as it was afterwards, and a process does not grow without bound meanwhile.
func TestCollectorPauses(t *testing.T) {
	const percent, limit = 73, 1 << 40
	defer debug.SetGCPercent(debug.SetGCPercent(percent))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	now := func() (int, int64) {
		p := debug.SetGCPercent(percent)
		debug.SetGCPercent(p)
		return p, debug.SetMemoryLimit(-1)
	}
	var g garbageCollector
	g.pause()
	g.pause()
	g.resume()
	if p, l := now(); p != -1 || l >= limit || l < mostGarbage {
		t.Errorf("held: GOGC %d, GOMEMLIMIT %d", p, l)
	}
	g.resume()
	if p, l := now(); p != percent || l != limit {
		t.Errorf("released: GOGC %d, GOMEMLIMIT %d, want %d and %d", p, l, percent, limit)
	}
	debug.SetMemoryLimit(1 << 20)
	g.pause()
	if _, l := now(); l != 1<<20 {
		t.Errorf("a limit of 1 MiB became %d", l)
	}
	g.resume()
}
