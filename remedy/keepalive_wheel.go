package remedy

import (
	"container/heap"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// burst is so many probes that wait for one moment, in jiffies since the timers were
// set.
type burst struct {
	at    int
	level int // of the wheel
	idle  int // seconds, of these sockets
	tries int // probes that were lost before
	n     int
}

// wheel holds the bursts to come, the next first.
type wheel []burst

func (w wheel) Len() int           { return len(w) }
func (w wheel) Less(i, j int) bool { return w[i].at < w[j].at }
func (w wheel) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *wheel) Push(b any)        { *w = append(*w, b.(burst)) }

func (w *wheel) Pop() any {
	last := len(*w) - 1
	b := (*w)[last]
	*w = (*w)[:last]
	return b
}

// add puts in a burst that is due so many jiffies after now: a level of the wheel has
// slots of eight times those of the one below, and begins where 63 of these end (kernel
// function calc_wheel_index).
func (w *wheel) add(now, after int, b burst) {
	b.level = 0
	for after >= 63<<(3*b.level) {
		b.level++
	}
	slot := 1 << (3 * b.level)
	b.at = (now + after + slot) / slot * slot
	heap.Push(w, b)
}

// endsHealthy tells whether some of n sockets with these timers, which are spread and
// set at one moment, would lose so many probes that they are ended, with both ends on
// this host and alive. hz is how many jiffies a second has.
func endsHealthy(n int, t tcpvet.Timers, hz int) bool {
	if n <= together {
		return false
	}
	periods := 4
	if t.Idle > 10*time.Minute { // they hardly meet again
		periods = 1
	}
	probes := int((t.Dead() - t.Idle) / t.Interval)
	idle, interval := int(t.Idle/time.Second), int(t.Interval/time.Second)
	w := new(wheel)
	steps := idleSteps(t.Idle)
	for i := range steps {
		if share := n/steps + min(1, n%steps/(i+1)); share > 0 {
			w.add(0, (idle-i)*hz, burst{idle: idle - i, n: share})
		}
	}
	end := (periods*idle + probes*interval) * hz
	const most = 200_000 // bursts: beyond that nothing is promised
	for met := 0; w.Len() > 0 && (*w)[0].at < end; {
		if met > most {
			return true
		}
		now := (*w)[0].at
		var due []burst
		for w.Len() > 0 && (*w)[0].at == now {
			due = append(due, heap.Pop(w).(burst))
			met++
		}
		// The kernel goes from the highest level to the lowest (expire_timers). What
		// has been lost most often may be the last of a slot.
		slices.SortFunc(due, func(a, b burst) int {
			if a.level != b.level {
				return b.level - a.level
			}
			return a.tries - b.tries
		})
		room := together
		for _, b := range due {
			if b.tries == probes {
				return true
			}
			if through := min(room, b.n); through > 0 {
				room -= through
				w.add(now, max(b.idle, interval)*hz, burst{idle: b.idle, n: through})
				b.n -= through
			}
			if b.n > 0 {
				b.tries++
				w.add(now, interval*hz, b)
			}
		}
	}
	return false
}

// tooMany tells whether some of n sockets with these timers, which are spread, may lose
// all their probes: by one of the clocks that kernels have.
func tooMany(n int, t tcpvet.Timers) bool {
	return slices.ContainsFunc([]int{100, 250, 300, 1000}, func(hz int) bool { return endsHealthy(n, t, hz) })
}
