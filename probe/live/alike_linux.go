package live

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

// alike is what failures have in common that have one cause.
type alike struct {
	netns    tcpvet.NetnsID
	process  tcpvet.Process // where it hangs on that
	remote   netip.AddrPort
	source   netip.AddrPort // port 0 where the kernel chose it, or was to
	step     probe.Step
	errno    probe.Errno
	searched bool
}

func alikeness(e *tcpvet.Event, a *probe.Attempt) alike {
	like := alike{netns: e.Netns, remote: a.Remote, source: a.Bind, step: a.Step, errno: a.Errno, searched: a.Seen.Searched}
	if !a.Bind.IsValid() {
		like.source = netip.AddrPortFrom(a.Local.Addr(), 0)
	}
	if a.Errno == probe.EMFILE {
		like.process = e.Process
	}
	return like
}

// verdicts remembers so many of the last ones: cause, certainty and first sentence.
type verdicts struct {
	by    map[alike]remembered
	order []alike // a ring, the oldest at next once it is full
	next  int
}

type remembered struct {
	at time.Time
	probe.Verdict
}

func newVerdicts(most int) verdicts {
	return verdicts{by: make(map[alike]remembered), order: make([]alike, 0, max(most, 1))}
}

// get gives a verdict that is not older than since.
func (v *verdicts) get(like alike, since time.Time) (probe.Verdict, bool) {
	r, ok := v.by[like]
	return r.Verdict, ok && r.at.After(since)
}

func (v *verdicts) put(like alike, at time.Time, verdict probe.Verdict) {
	if _, ok := v.by[like]; !ok {
		if len(v.order) < cap(v.order) {
			v.order = append(v.order, like)
		} else {
			delete(v.by, v.order[v.next])
			v.order[v.next] = like
			v.next = (v.next + 1) % len(v.order)
		}
	}
	v.by[like] = remembered{at, probe.Verdict{Cause: verdict.Cause, Certainty: verdict.Certainty, Text: verdict.Text[:1:1]}}
}

// allowance is what may be spent of one processor over time. It can be overdrawn
// once: how much a look takes shows only afterwards.
type allowance struct {
	share  float64
	credit time.Duration
	at     time.Time // when credit was as it is
}

// burst is the most that is saved up: some looks of a small host in a row, one of
// a large one.
const burst = 500 * time.Millisecond

func newAllowance(share float64) allowance { return allowance{share: share, credit: burst} }

func (a *allowance) allows(now time.Time) bool {
	if !a.at.IsZero() {
		a.credit = min(a.credit+time.Duration(a.share*float64(now.Sub(a.at))), burst)
	}
	a.at = now
	return a.credit > 0
}

// take takes what was spent.
func (a *allowance) take(spent time.Duration) { a.credit -= spent }

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
