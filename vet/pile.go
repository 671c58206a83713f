package vet

import (
	"cmp"

	"github.com/tcpvet/tcpvet"
)

// Pile is what piled up of one kind at one process toward one service, or at
// several: Piles then says how many were summed up.
type Pile struct {
	Holding
	Kind     string
	Count    uint64
	Severity tcpvet.Severity
	Unsure   bool // it may be something else
	Piles    int
}

// SumUp keeps the largest piles of each namespace and kind, at most so many, and
// makes one of the others. Each stands for one process and service.
func SumUp(piles []Pile, most int) []Pile {
	for i := range piles {
		piles[i].Piles = 1
	}
	return Largest(piles, most,
		func(a, b Pile) int { return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.Kind, b.Kind)) },
		func(a, b Pile) int {
			return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Count, a.Count), a.compare(b.Held))
		},
		func(sum, o *Pile) {
			sum.Merge(&o.Holding)
			sum.Count += o.Count
			sum.Piles += o.Piles
			sum.Unsure = sum.Unsure || o.Unsure
		})
}

// Finding begins a finding of the rule: whose it is, toward what, how bad and how
// sure.
func (p *Pile) Finding(c *tcpvet.Census, rule string) tcpvet.Finding {
	f := tcpvet.Finding{Rule: rule, Severity: p.Severity, Kind: p.Kind, Subject: tcpvet.Subject{Netns: p.Netns, Services: p.Piles, Local: p.Local()}}
	if p.Unsure {
		f.Certainty = tcpvet.Likely
	}
	if p.Piles > 1 {
		f.Title = Heading(c, p.Netns, nil, "", AtLeastCounted(c.GroupError, p.Piles, "more pile-up"))
		return f
	}
	info := c.Processes[p.Holder]
	f.Subject.Container, f.Subject.Service = info.Container, p.Service
	if p.Holder.Known() {
		f.Subject.Processes = append([]tcpvet.Process{p.Holder}, p.SharedWith()...)
	}
	who, about := "", "on "+p.Service.String()
	if p.Role == tcpvet.Client {
		about = "to " + p.Service.String()
	}
	if p.Holder != tcpvet.Nobody || !c.Facts.Has(tcpvet.FactHolders) {
		who = ProgramText(c, p.Holder)
	}
	f.Title = Heading(c, p.Netns, info.Container, who, about)
	return f
}

// Enter is Enter by the holder of the pile, or by any process where several were
// summed up.
func (p *Pile) Enter(c *tcpvet.Census) (words string, ok bool) {
	if p.Piles > 1 {
		return Enter(c, p.Netns, tcpvet.Nobody)
	}
	return Enter(c, p.Netns, p.Holder)
}

// Selection is what ss can select of it: the sockets of that state and service, or
// of that state in the namespace where several were summed up.
func (p *Pile) Selection(state tcpvet.State) Selection {
	switch {
	case p.Piles > 1:
		return Selection{State: state}
	case p.Role == tcpvet.Client:
		return Selection{State: state, Remote: p.Service}
	}
	return Selection{State: state, Local: p.Service}
}

// EveryProcess sums up what Selection selects, whoever holds it.
func (p *Pile) EveryProcess(c *tcpvet.Census, count func(*tcpvet.Tally) uint32) uint64 {
	var n uint64
	for g, t := range c.Groups {
		if g.Netns == p.Netns && (p.Piles > 1 || g.Role == p.Role && g.Service == p.Service) {
			n += uint64(count(t))
		}
	}
	return n
}
