package remedy

import (
	"time"

	"github.com/tcpvet/tcpvet"
)

// Timers that are set together run out together, and the kernel's timer wheel has
// slots of an eighth to a sixty-fourth of their length (kernel/time/timer.c). Whatever
// is in a slot sends its probes in one go. Between two ends on this host a processor
// queues no more than net.core.netdev_max_backlog of them and drops the rest in
// silence: where every probe of a connection is among those it is ended, with both its
// ends alive. So many sockets get idle times that lie apart.
const (
	backlog      = 1000 // of segments: the default of net.core.netdev_max_backlog
	mostTogether = backlog / 2
	together     = backlog * 9 / 10 // the rest is for what else this processor has to queue
)

// spreadIdle shortens the idle times of many sockets, each by up to a half: which has
// which hangs on its cookie, so that a second plan gives it the same. Listeners keep
// theirs, which what they accept begins with.
func spreadIdle(changes []tcpvet.Change) {
	if len(changes) <= mostTogether {
		return
	}
	for i := range changes {
		c := &changes[i]
		if c.Target.State == tcpvet.Listen {
			continue
		}
		// Multiplied so cookies that follow each other lie apart (Knuth, The Art of
		// Computer Programming, 6.4).
		n := c.Target.Cookie * 0x9E3779B97F4A7C15 >> 32
		c.After.Timers.Idle -= time.Duration(n%uint64(idleSteps(c.After.Timers.Idle))) * time.Second
	}
}

// idleSteps is how many idle times there are to choose from.
func idleSteps(idle time.Duration) int { return int(idle/2/time.Second) + 1 }

// mostAtOnce is how many do of those that are all probed at once.
func mostAtOnce(t tcpvet.Timers) int { return int((t.Dead()-t.Idle)/t.Interval) * backlog }

// manyShorter says why an undo may drop connections.
const manyShorter = "So many get a shorter idle time again that those of which it is over begin anew together, and are probed together: peers on this host (loopback, veth) may lose all probes of some, which are then ended though nothing is wrong with them."

// undoRisk is the risk of giving sockets back what they had, and what there is to say of
// it. What they had need not lie apart: what is over by a shorter idle time begins anew,
// and runs out together.
func undoRisk(changes []tcpvet.Change) (tcpvet.Risk, []string) {
	share := 0.0 // of what gets through
	for i := range changes {
		c := &changes[i]
		if was, t := c.Before.Timers, c.After.Timers; c.Outcome == tcpvet.OutcomePlanned && was.Keepalive && t.Keepalive && t.Idle < was.Idle {
			share += 1 / float64(mostAtOnce(settable(t)))
		}
	}
	if share > 1 {
		return tcpvet.DropsConnections, []string{manyShorter}
	}
	return tcpvet.ChangesProcess, nil
}
