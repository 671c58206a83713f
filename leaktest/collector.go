package leaktest

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
)

// collector keeps garbage while a check waits for what is still open: the runtime would
// close a connection that the program has dropped, and it would seem to have closed late.
var collector garbageCollector

type garbageCollector struct {
	mu      sync.Mutex
	users   int
	percent int   // GOGC of before
	limit   int64 // GOMEMLIMIT of before
}

// mostGarbage is how much a process may grow meanwhile.
const mostGarbage = 256 << 20

// pause lets the collector run no more, until resume or until there is mostGarbage.
func (g *garbageCollector) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users++; g.users > 1 {
		return
	}
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	g.limit = debug.SetMemoryLimit(-1) // asks
	debug.SetMemoryLimit(min(g.limit, int64(min(now.Sys-now.HeapReleased, math.MaxInt64-mostGarbage))+mostGarbage))
	g.percent = debug.SetGCPercent(-1)
}

func (g *garbageCollector) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.users--; g.users == 0 {
		debug.SetGCPercent(g.percent)
		debug.SetMemoryLimit(g.limit)
	}
}
