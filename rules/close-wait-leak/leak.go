package closewaitleak

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// leak is what one process keeps toward one service, or toward several.
type leak struct {
	vet.Holding
	owner      tcpvet.Process // who is to close: the holder, or the listener's for what was never accepted
	unaccepted bool
	services   int    // how many were summed up
	folded     bool   // one of them stands for many
	before     uint64 // how many there were at the earlier look

	severity tcpvet.Severity
	older    uint64 // surely past patience, all where no age is known
	maybe    uint64 // past patience if each is as old as it can be
	hidden   bool   // the severity rests on maybe
	// undecided tells that what was folded may make the severity another one.
	undecided bool
	growth    inflow
	ports     *ports // nil where they are not known, or none are taken
	files     *files // nil where they are not known
}

// inflow is how many came in how long; over is 0 where that is not known.
type inflow struct {
	count uint64
	over  time.Duration
}

func (g inflow) perSecond() float64 {
	if g.over <= 0 {
		return 0
	}
	return float64(g.count) / g.over.Seconds()
}

// ports is where a leak stands with the ports of its tuple.
type ports struct {
	vet.Headroom
	tuple tcpvet.Tuple
	mine  int           // ports that the leak takes
	rate  inflow        // what CLOSE-WAIT takes, whoever holds it
	last  time.Duration // until none is left at that rate, 0 where that is not in sight
}

// ratioWithout is the part of the ports that is left if so many more are taken.
func (p *ports) ratioWithout(lost uint64) float64 {
	if lost == 0 {
		return p.LeftRatio()
	}
	h := p.Headroom
	h.Left -= int(min(lost, uint64(h.Left)))
	return h.LeftRatio()
}

// files is where its process stands with its descriptors.
type files struct {
	open, limit uint64
	rate        float64 // how many all leaks of the process take per second
	last        time.Duration
}

func (f files) ratio() float64 { return float64(f.open) / float64(f.limit) }

func (l *leak) count() uint64 { return uint64(l.States[tcpvet.CloseWait]) }
func (l *leak) aged() bool    { return l.CloseWaitAge != nil }

// atLeast counts those that have surely been in CLOSE-WAIT for d.
func (l *leak) atLeast(d time.Duration) uint64 {
	n := counted(l.CloseWaitAge, d)
	if n == 0 && l.Oldest != nil && l.Oldest.Age.Low >= d {
		return 1 // in the bucket that d itself lies in
	}
	return n
}

// perhaps counts those that may have been in CLOSE-WAIT for d. A FIN that has
// just come and an answer to a keepalive probe look the same, so what may be on
// its way out is left out.
func (l *leak) perhaps(d time.Duration) uint64 {
	young := counted(l.CloseWaitMost, transit) - min(counted(l.CloseWaitAge, transit), counted(l.CloseWaitMost, transit))
	n := counted(l.CloseWaitMost, d)
	if n == 0 && l.CloseWaitLongest >= d {
		n = 1
	}
	return max(n-min(young, n), l.atLeast(d))
}

// counted is how many of the ages, by kind, are d or more.
func counted(ages *[tcpvet.NumCloseWaitKinds]tcpvet.Histogram, d time.Duration) uint64 {
	if ages == nil {
		return 0
	}
	var n uint64
	for k := range ages {
		n += ages[k].AtLeast(d)
	}
	return n
}

// vague tells that the ages do not say how many came lately.
func (l *leak) vague() bool {
	return l.CloseWaitVague.Total > 0 && 2*uint64(l.CloseWaitVague.Total) >= l.count()
}

// passing tells that most of the growth may be connections that are about to be
// closed.
func (l *leak) passing() bool {
	if !l.aged() {
		return false
	}
	young := l.atLeast(0) - l.atLeast(transit)
	return 2*young > l.growth.count
}

// judgement is what judging one Case works with.
type judgement struct {
	tcpvet.Case
	room   vet.Room
	before map[vet.Held]uint64
	rates  map[tcpvet.Process]float64 // what all leaks of a process take of its descriptors, per second
	counts map[place]uint64
	totals map[tcpvet.NetnsID]uint64
}

// place is what ss can count: it does not tell processes apart.
type place struct {
	netns   tcpvet.NetnsID
	role    tcpvet.Role
	service netip.AddrPort
}

func closeWaiting(_ tcpvet.Group, t *tcpvet.Tally) bool { return t.States[tcpvet.CloseWait] > 0 }

// lacks tells that there are a few of which no age is known: forgotten, or about to
// be closed.
func lacks(c tcpvet.Case) tcpvet.Facts {
	for _, t := range c.Now.Groups {
		if t.States[tcpvet.CloseWait] > 0 && t.CloseWaitAge == nil {
			if len(judge(c)) > 0 {
				return 0
			}
			return tcpvet.FactInfo
		}
	}
	return 0
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	held := vet.Holdings(&c.Now, closeWaiting)
	if len(held) == 0 {
		return nil
	}
	j := &judgement{
		Case: c, room: vet.NewRoom(&c.Now), rates: make(map[tcpvet.Process]float64),
		counts: make(map[place]uint64), totals: make(map[tcpvet.NetnsID]uint64),
	}
	if c.Before != nil {
		j.before = make(map[vet.Held]uint64)
		for _, h := range vet.Holdings(c.Before, closeWaiting) {
			j.before[h.Held] = uint64(h.States[tcpvet.CloseWait])
		}
	}
	leaks := make([]leak, len(held))
	for i, h := range held {
		n := uint64(h.States[tcpvet.CloseWait])
		j.counts[place{h.Netns, h.Role, h.Service}] += n
		j.totals[h.Netns] += n
		l := j.measure(leak{Holding: h, services: 1, folded: !h.Service.IsValid(), before: j.before[h.Held]})
		if l.severity != 0 && !l.passing() {
			j.rates[l.owner] += l.growth.perSecond()
		}
		leaks[i] = l
	}
	for i := range leaks {
		leaks[i] = j.weigh(leaks[i])
	}
	var findings []tcpvet.Finding
	for _, l := range j.sumUp(leaks) {
		if l.severity >= tcpvet.Info {
			findings = append(findings, j.finding(&l))
		}
	}
	return findings
}

// sumUp makes one leak of the small ones of each process.
func (j *judgement) sumUp(leaks []leak) []leak {
	byOwner := func(a, b leak) int {
		return cmp.Or(
			cmp.Compare(a.Netns, b.Netns),
			cmp.Compare(a.owner.PID, b.owner.PID), cmp.Compare(a.owner.Start, b.owner.Start),
			cmp.Compare(a.Role, b.Role),
			compareBool(a.unaccepted, b.unaccepted),
		)
	}
	slices.SortStableFunc(leaks, func(a, b leak) int {
		return cmp.Or(byOwner(a, b), cmp.Compare(b.severity, a.severity), cmp.Compare(b.count(), a.count()))
	})
	var out []leak
	for len(leaks) > 0 {
		n := 1
		for n < len(leaks) && byOwner(leaks[0], leaks[n]) == 0 {
			n++
		}
		var sum *leak
		own := 0
		for i := range leaks[:n] {
			switch l := &leaks[i]; {
			case own < named && l.severity >= tcpvet.Warning && l.Service.IsValid():
				out = append(out, *l)
				own++
			case sum == nil:
				sum = l
			default:
				sum.Merge(&l.Holding)
				sum.services += l.services
				sum.folded = sum.folded || l.folded
				sum.before += l.before
			}
		}
		if sum != nil {
			if sum.services > 1 {
				*sum = j.weigh(j.measure(*sum))
			}
			out = append(out, *sum)
		}
		leaks = leaks[n:]
	}
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
