package symbol

import (
	"os"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// A process that has just begun is asked soon again, one that never comes to be what it
// is asked for seldom.
func TestBackoff(t *testing.T) {
	var b backoff
	began := time.Unix(1000, 0)
	asked := func(from, to time.Duration) (n int) {
		for at := from; at < to; at += time.Millisecond {
			if b.due(began.Add(at)) {
				n++
			}
		}
		return n
	}
	if n := asked(0, 60*time.Millisecond); n < 4 {
		t.Errorf("asked %d times in the first 60 ms, want 4 at least", n)
	}
	asked(60*time.Millisecond, time.Second)
	if n, most := asked(time.Second, 11*time.Second), int(10*time.Second/refresh); n > most {
		t.Errorf("asked %d times in 10 s, want %d at most", n, most)
	}
}

// Who asks for an interpreter in vain does not keep an address, that was loaded since,
// from being looked up.
func TestInterpreterInVain(t *testing.T) {
	r := resolver(t, Options{})
	at := self(t)
	if r.PythonLayout(at) != nil {
		t.Fatal("a test has an interpreter")
	}
	p := r.processes[at]
	known := p.maps
	p.maps = nil
	if p.mapping(known[0].low) == nil {
		t.Error("the mappings were not read anew")
	}
}

// What is known of an interpreter holds as long as it is mapped where it was, whatever
// else is loaded.
func TestInterpreterStays(t *testing.T) {
	r := resolver(t, Options{})
	at := self(t)
	p := r.process(at)
	p.python = &interpreter{at: p.maps[0]}
	p.maps = nil
	if p.load(); p.python == nil {
		t.Error("forgotten, though it is mapped where it was")
	}
	p.maps, p.python.at.path = nil, "/another"
	if p.load(); p.python != nil {
		t.Error("kept, though another file is mapped there")
	}
}

// self is the process of the test.
func self(t *testing.T) tcpvet.Process {
	t.Helper()
	start, ok := startOf("/proc/self")
	if !ok {
		t.Fatal("the test has no start time")
	}
	return tcpvet.Process{PID: int32(os.Getpid()), Start: start}
}
