package remedy

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// 10,000 sockets in one call, each way, and their undo.
func TestRootKeepaliveMany(t *testing.T) {
	const n = 10_000
	for _, by := range []string{byBPF, byBorrow} {
		t.Run(by, func(t *testing.T) {
			kerneltest.Netns(t)
			h := holderOf(t, nil)
			h.do(order{Do: "open", Family: "4", N: n / 2})
			j := journalIn(t)
			began, cpu := time.Now(), cpuOf(t)
			p, err := planKeepalive(t.Context(), h.options(), by)
			if err != nil {
				t.Fatal(err)
			}
			planned := time.Now()
			p.Risk = tcpvet.DropsConnections // to give it to more can; to take it back cannot
			if err := p.Apply(t.Context(), j); err != nil || p.Tally()[tcpvet.OutcomeApplied] != n {
				t.Fatalf("%v, %v", p.Tally(), err)
			}
			t.Logf("by %s: planned %d in %v, applied in %v, %v of a processor", by, n, planned.Sub(began), time.Since(planned), cpuOf(t)-cpu)
			if on, all := keepaliveBySS(t, h.pid()); on != n || all != n {
				t.Errorf("ss shows %d of %d with keepalive", on, all)
			}
			began = time.Now()
			u, err := PlanUndo(t.Context(), j, p.ID, UndoOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if u.Risk != tcpvet.ChangesProcess {
				t.Errorf("the undo's risk is %v", u.Risk)
			}
			u.By.(*keepalive).by = by
			if err := u.Apply(t.Context(), j); err != nil || u.Tally()[tcpvet.OutcomeUndone] != n {
				t.Fatalf("undo: %v, %v", u.Tally(), err)
			}
			t.Logf("undone in %v", time.Since(began))
			if on, all := keepaliveBySS(t, h.pid()); on != 0 || all != n {
				t.Errorf("after undo ss shows %d of %d with keepalive", on, all)
			}
		})
	}
}

func cpuOf(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// More sockets than one pass asks for go in several. One pass asks for as many as there
// are at first.
func TestRootKeepaliveInParts(t *testing.T) {
	kerneltest.Netns(t)
	h := holderOf(t, nil)
	ends := h.do(order{Do: "open", Family: "6", N: 4})
	b := new(timersBPF)
	if err := b.load(1); err != nil {
		t.Fatal(err)
	}
	var jobs []*timersJob
	targets := make([]tcpvet.Target, 0, leastWanted+8)
	add := func(cookie uint64) {
		targets = append(targets, tcpvet.Target{Netns: h.id, Cookie: cookie})
		jobs = append(jobs, &timersJob{target: &targets[len(targets)-1]})
	}
	for i := range uint64(leastWanted) {
		add(1<<62 + i) // of no socket
	}
	for _, e := range ends {
		add(e.Cookie)
	}
	if err := b.do(t.Context(), jobs); err != nil {
		t.Fatal(err)
	}
	for i, j := range jobs {
		want := closed
		if i >= leastWanted {
			want = answered
		}
		if j.answer != want {
			t.Fatalf("job %d: %d, want %d", i, j.answer, want)
		}
	}
	all := new(timersBPF)
	if err := all.load(len(jobs)); err != nil || all.objects.Sockets.MaxEntries() != uint32(len(jobs)) {
		t.Errorf("for %d sockets: a table for %d, %v", len(jobs), all.objects.Sockets.MaxEntries(), err)
	}
}
