package kerneltest

import (
	"os"
	"runtime"
	"testing"
)

// Usage is what a process holds.
type Usage struct {
	Descriptors, Goroutines int
	Heap                    uint64 // bytes that are in use after a collection
}

// UsageNow tells what this process holds.
func UsageNow(t testing.TB) Usage {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{len(fds), runtime.NumGoroutine(), m.HeapAlloc}
}

// Grown fails the test if u holds more than before: by more than so many descriptors
// and goroutines, or twice the memory and a MiB.
func (u Usage) Grown(t testing.TB, before Usage, by int) {
	t.Helper()
	if u.Descriptors > before.Descriptors+by || u.Goroutines > before.Goroutines+by || u.Heap > 2*before.Heap+1<<20 {
		t.Errorf("%+v, at the beginning %+v", u, before)
	}
}
