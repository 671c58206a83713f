package closewaitleak

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// measure works out whose a leak is, how old, and how fast it grows. Severity is
// what follows from that alone.
func (j *judgement) measure(l leak) leak {
	switch l.unaccepted = j.neverAccepted(&l); {
	case !l.unaccepted:
		l.owner = l.Holder
	case l.services == 1:
		l.owner = j.listener(&l)
	}
	switch l.older = l.count(); {
	case l.aged():
		l.older = l.atLeast(j.Patience)
	case l.older < enough:
		l.older = 0 // each may have come just now: see lacks
	}
	if l.maybe = l.older; l.aged() {
		l.maybe = l.perhaps(j.Patience)
	}
	l.growth = inflow{}
	switch {
	case j.Before != nil:
		l.growth = inflow{l.count() - min(l.before, l.count()), j.interval()}
	case l.aged() && !l.vague():
		l.growth = lately(l.CloseWaitBorn)
	}
	grew := j.Before != nil && l.growth.count >= growth && !l.passing()
	l.severity, l.hidden, l.undecided = 0, false, false
	switch {
	case l.older >= enough || grew:
		l.severity = tcpvet.Warning
	case l.maybe >= enough:
		l.severity, l.hidden = tcpvet.Warning, true
	case l.older > 0:
		l.severity = tcpvet.Info
	case l.maybe > 0:
		l.severity, l.hidden = tcpvet.Info, true
	}
	// What was folded may lift a count over the bound, or be the growth.
	lack := j.Now.GroupError * uint64(max(len(l.Locals), 1))
	switch {
	case l.severity == tcpvet.Info:
		l.undecided = l.maybe+lack >= enough
	case grew && l.older < enough:
		l.undecided = l.growth.count < growth+j.Before.GroupError
	}
	return l
}

// lately is the slower of the two rates that one look knows: a burst after a
// quiet time is no rate that goes on.
func lately(b tcpvet.Births) inflow {
	if uint64(b.Last60s) < 6*uint64(b.Last10s) {
		return inflow{uint64(b.Last60s), time.Minute}
	}
	return inflow{uint64(b.Last10s), 10 * time.Second}
}

// weigh works out how bad it is that the leak uses up ports and descriptors.
func (j *judgement) weigh(l leak) leak {
	l.ports, l.files = j.ports(&l), j.files(&l)
	if l.severity == 0 {
		return l
	}
	// A few forgotten sockets beside many that are in use are not what uses
	// up the ports or the descriptors.
	large := l.severity == tcpvet.Warning
	if p := l.ports; p != nil && (large || 2*p.mine >= p.Taken) && (p.LeftRatio() < scarce || p.last > 0 && p.last < soon) {
		l.severity = tcpvet.Critical
	}
	if p := l.ports; p != nil && l.severity < tcpvet.Critical && p.ratioWithout(j.Now.TupleError) < scarce {
		l.undecided = true
	}
	if f := l.files; f != nil && (large || 2*l.count() >= f.open) && (f.ratio() > crowded || f.last > 0 && f.last < soon) {
		l.severity = tcpvet.Critical
	}
	return l
}

// interval is how long lies between the looks, 0 where that is not known.
func (j *judgement) interval() time.Duration {
	if j.Before == nil || j.Before.Taken.IsZero() || j.Now.Taken.IsZero() {
		return 0
	}
	return max(j.Now.Taken.Sub(j.Before.Taken), 0)
}

// ports finds the tuple of the leak that has the fewest ports left.
func (j *judgement) ports(l *leak) *ports {
	if l.Role != tcpvet.Client || !l.Service.IsValid() {
		return nil
	}
	var worst *ports
	for _, local := range l.Locals {
		p := ports{tuple: tcpvet.Tuple{Netns: l.Netns, Local: local, Remote: l.Service}}
		budget := j.Now.Tuples[p.tuple]
		if budget == nil {
			continue
		}
		var ok bool
		if p.Headroom, ok = j.room.Of(p.tuple); !ok || p.Usable() == 0 {
			continue
		}
		group := tcpvet.Group{Netns: l.Netns, Holder: l.Holder, Role: l.Role, Local: local, Service: l.Service}
		p.mine = int(min(j.Now.Groups[group].States[tcpvet.CloseWait], budget.Taken[tcpvet.CloseWait]))
		if !l.passing() && (j.Before != nil || !l.vague()) {
			p.rate = j.tupleGrowth(p.tuple, budget)
			p.last = lasts(uint64(p.Left), p.rate.perSecond())
		}
		if worst == nil || p.LeftRatio() < worst.LeftRatio() {
			worst = &p
		}
	}
	return worst
}

// tupleGrowth is how fast CLOSE-WAIT takes ports of the tuple, whoever holds it.
func (j *judgement) tupleGrowth(t tcpvet.Tuple, now *tcpvet.Budget) inflow {
	if j.Before == nil {
		return lately(now.CloseWaitBorn)
	}
	var before uint32
	if b := j.Before.Tuples[t]; b != nil {
		before = b.Taken[tcpvet.CloseWait]
	}
	n := now.Taken[tcpvet.CloseWait]
	return inflow{uint64(n - min(before, n)), j.interval()}
}

func (j *judgement) files(l *leak) *files {
	info := j.Now.Processes[l.owner]
	if l.unaccepted || info.Descriptors == 0 || info.DescriptorLimit == 0 {
		return nil
	}
	f := &files{open: info.Descriptors, limit: info.DescriptorLimit}
	if !l.passing() {
		// A sum over services may grow where none of them does by itself.
		f.rate = max(j.rates[l.owner], l.growth.perSecond())
		f.last = lasts(f.limit-min(f.open, f.limit), f.rate)
	}
	return f
}

// lasts is how long left lasts at that rate, 0 where there is no end in sight.
func lasts(left uint64, perSecond float64) time.Duration {
	const sight = 365 * vet.Day
	if left == 0 || perSecond <= 0 || float64(left)/perSecond > sight.Seconds() {
		return 0
	}
	return time.Duration(float64(left) / perSecond * float64(time.Second))
}

// neverAccepted tells that no descriptor was ever made for these: a server's
// connection that no process holds and that is still in CLOSE-WAIT.
func (j *judgement) neverAccepted(l *leak) bool {
	return l.Role == tcpvet.Server && l.Holder == tcpvet.Nobody && j.Now.Facts.Has(tcpvet.FactInode|tcpvet.FactHolders)
}

// listener finds who listens where the leak's connections came in.
func (j *judgement) listener(l *leak) tcpvet.Process {
	if _, q := vet.ListenerAt(&j.Now, l.Netns, l.Service); q != nil {
		return q.Holder
	}
	return tcpvet.Nobody
}
