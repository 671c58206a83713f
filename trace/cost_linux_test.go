package trace

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
)

// What a change costs the kernel and an event the reader is logged: 'go test -v -run
// Cost'. Only that the reader takes no memory for it is held to.
func TestRootCost(t *testing.T) {
	f := follow(t, Options{})
	l, at := listen(t, lo4)
	sysctl(t, "ip_local_port_range", "10000 60999")
	serve(t, l)
	on, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	must(t, err)
	defer on.Close()
	const n = 10000
	must(t, start(t, "churn", connections{at, n}, nil).end())
	for _, p := range []*ebpf.Program{f.objects.Changes, f.objects.ChangesBetween} {
		s, err := p.Stats()
		must(t, err)
		t.Logf("%d runs of %v, %d missed", s.RunCount, s.Runtime/time.Duration(max(s.RunCount, 1)), s.RecursionMisses)
	}
	c, err := OpenCounter(f.options.Netns)
	must(t, err)
	defer c.Close()
	must(t, start(t, "churn", connections{at, n}, nil).end())
	s, err := c.objects.Tally.Stats()
	must(t, err)
	t.Logf("counting alone: %d runs of %v", s.RunCount, s.Runtime/time.Duration(max(s.RunCount, 1)))
}

// An event takes no memory once its process is known.
func TestRootCostOfReading(t *testing.T) {
	need(t)
	kerneltest.Netns(t)
	id, err := netns.Self()
	must(t, err)
	tr, err := Open(Options{Kinds: allKinds, Netns: []tcpvet.NetnsID{id}})
	must(t, err)
	defer tr.Close()
	l, at := listen(t, lo4)
	events := 0
	tr.yield = func(*tcpvet.Event) error {
		events++
		return nil
	}
	const connections = 300
	fill := func() {
		for range connections {
			c, s := connected(t, l, at)
			s.close()
			c.close()
		}
	}
	fill()
	must(t, tr.drain())

	// What the ring gives is copied to where there is room for it.
	fill()
	var before, after runtime.MemStats
	began, err := threadTime()
	must(t, err)
	runtime.ReadMemStats(&before)
	events = 0
	must(t, tr.drain())
	runtime.ReadMemStats(&after)
	ended, err := threadTime()
	must(t, err)
	read, mallocs := events, after.Mallocs-before.Mallocs
	if read < connections*2*4 || mallocs > uint64(read)/20 {
		t.Errorf("%d events of %d connections were read with %d allocations", read, connections, mallocs)
	}

	// And from there it is told.
	fill()
	_, err = tr.fill()
	must(t, err)
	records := bytes.Clone(tr.batch.records)
	tell := func() {
		tr.batch.records = append(tr.batch.records[:0], records...)
		must(t, tr.identify())
		must(t, tr.tell())
	}
	events = 0
	const runs = 50
	start := time.Now()
	if n := testing.AllocsPerRun(runs, tell); n != 0 {
		t.Errorf("%v allocations to tell %d events", n, events/(runs+1))
	}
	t.Logf("%v an event to read and tell, %d allocations of %d; %v to tell", (ended-began)/time.Duration(read), mallocs, read, time.Since(start)/time.Duration(events))
}
