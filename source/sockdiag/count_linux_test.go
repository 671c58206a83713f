package sockdiag

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// readNamespaceCounters reads the counters of the thread's namespace.
var readNamespaceCounters = procfs.FS{}.Counters

// counted is the number of sockets per state of a whole dump.
func counted(t *testing.T, c *Conn) (n Counts) {
	t.Helper()
	for _, s := range dumpAll(t, c, Request{}) {
		n[s.State]++
	}
	return n
}

func TestRootCountStates(t *testing.T) {
	kerneltest.Netns(t)
	kerneltest.Need(t, kernel.BoundInactive)
	stageAll(t, loopbacks...)
	for _, addr := range loopbacks {
		for range 20 { // more of what is not dumped
			pair(t, addr)
			a, b := pair(t, addr)
			must(t, unix.Close(a))
			must(t, unix.Close(b))
		}
	}
	c := dial(t)
	want := counted(t, c)
	// By what was staged, over three addresses: 1 + 20 closed.
	if n := uint64(3 * 21); want[tcpvet.TimeWait] != n {
		t.Fatalf("%d TIME-WAIT, want %d", want[tcpvet.TimeWait], n)
	}

	got, short, st, err := c.CountStates(t.Context(), readNamespaceCounters)
	must(t, err)
	if got != want || !short {
		t.Errorf("counts by counters (%v): %v\nwhole dump: %v", short, got, want)
	}
	if n := uint64(st.Sockets); n != want.Total()-want[tcpvet.Established]-want[tcpvet.TimeWait] {
		t.Errorf("%d sockets were dumped; ESTAB and TIME-WAIT were to be left out", n)
	}

	// Counters that cannot be had, that do not fit or that move must lead to
	// the whole dump, and to the same numbers.
	calls := uint64(0)
	for name, counters := range map[string]func() (map[string]uint64, error){
		"none":    nil,
		"failing": func() (map[string]uint64, error) { return nil, errors.New("no /proc here") },
		"missing": func() (map[string]uint64, error) { return map[string]uint64{counterEstab: 1, counterTW: 1}, nil },
		"one socket too many": func() (map[string]uint64, error) {
			m, err := readNamespaceCounters()
			m[counterInuse6]++
			return m, err
		},
		"no IPv6": func() (map[string]uint64, error) {
			m, err := readNamespaceCounters()
			delete(m, counterInuse6)
			return m, err
		},
		"moving established": func() (map[string]uint64, error) {
			m, err := readNamespaceCounters()
			calls++
			m[counterEstab] += calls
			m[counterInuse] += calls
			return m, err
		},
		"one opened for each that closed": func() (map[string]uint64, error) {
			m, err := readNamespaceCounters()
			calls++
			m["TcpPassiveOpens"] += calls
			return m, err
		},
		"moving TIME-WAIT": func() (map[string]uint64, error) {
			m, err := readNamespaceCounters()
			calls++
			m[counterTW] += calls
			return m, err
		},
	} {
		got, short, _, err := c.CountStates(t.Context(), counters)
		must(t, err)
		if short || got != want {
			t.Errorf("%s: by counters (%v): %v\nwhole dump: %v", name, short, got, want)
		}
	}
}

// A connection opened between the two looks at the counters is noticed.
func TestRootCountStatesUnderChange(t *testing.T) {
	kerneltest.Netns(t)
	pair(t, "::1")
	c := dial(t)
	got, short, _, err := c.CountStates(t.Context(), func() (map[string]uint64, error) {
		m, err := readNamespaceCounters()
		pair(t, "127.0.0.1") // after the reading
		return m, err
	})
	must(t, err)
	if want := counted(t, c); short || got != want {
		t.Errorf("by counters (%v): %v\nwhole dump: %v", short, got, want)
	}
}
