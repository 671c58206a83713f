package store_test

import (
	"bytes"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/store"
)

// cpu is the time that this process has spent, user and system.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type counting struct {
	heard
	n int
}

func (c *counting) Socket(*tcpvet.Socket) error { c.n++; return nil }

// A snapshot of a big host is no matter of minutes. The bounds are far above
// what it takes, and far below what a general JSON codec does.
func TestSpeed(t *testing.T) {
	const (
		mostWrite = 600 * time.Millisecond
		mostRead  = 1500 * time.Millisecond
	)
	sockets := 200_000
	if raceEnabled { // which takes fifty times as long: the times are not judged
		sockets /= 50
	}
	s := socket(1)
	var file bytes.Buffer
	file.Grow(sockets * 1100)
	began := cpu(t)
	w := store.NewWriter(&file, header)
	for range sockets {
		must(t, w.Socket(s))
	}
	must(t, w.Close())
	wrote := cpu(t) - began
	size := file.Len()

	began = cpu(t)
	r, err := store.NewReader(&file)
	must(t, err)
	var c counting
	must(t, r.Each(&c))
	read := cpu(t) - began
	t.Logf("%d sockets, %d MB: written in %v, read in %v of CPU", sockets, size>>20, wrote, read)
	if c.n != sockets {
		t.Errorf("%d sockets were read", c.n)
	}
	if !raceEnabled && (wrote > mostWrite || read > mostRead) {
		t.Errorf("written in %v and read in %v of CPU, want %v and %v at most", wrote, read, mostWrite, mostRead)
	}
}

func TestWriterAllocs(t *testing.T) {
	w := store.NewWriter(io.Discard, header)
	w.Process(tcpvet.Process{PID: 4121, Start: 987_654}, tcpvet.ProcessInfo{Comm: "python3"})
	s := socket(4)
	if n := testing.AllocsPerRun(1000, func() { must(t, w.Socket(s)) }); n != 0 {
		t.Errorf("a socket takes %v allocations", n)
	}
}
