package finwait2pileup

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// closer is who keeps the other end in CLOSE-WAIT.
type closer struct {
	holder tcpvet.Process
	role   tcpvet.Role
	count  uint32
}

func (o closer) text(c *tcpvet.Census) string {
	if o.holder == tcpvet.Nobody && c.Facts.Has(tcpvet.FactHolders) {
		return "a listener that has not accepted them"
	}
	if o.role != tcpvet.Client && vet.MaybeNobody(c, o.holder) {
		return "a process that could not be seen, or a listener that has not accepted them"
	}
	return vet.OwnerText(c, o.holder)
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	held := vet.Holdings(&c.Now, func(_ tcpvet.Group, t *tcpvet.Tally) bool { return waiting(t, c.Patience) >= some })
	if len(held) == 0 {
		return nil
	}
	piled := make(map[vet.Side]uint64)   // FIN-WAIT-2 of every process: what ss counts
	resting := make(map[vet.Side]uint64) // TIME-WAIT
	closers := make(map[vet.Side]closer) // the largest CLOSE-WAIT at the other end
	sides := vet.SidesOf(&c.Now)
	exact := func(g tcpvet.Group) vet.Side { return vet.Side{Netns: g.Netns, Role: g.Role, Service: g.Service} }
	for g, t := range c.Now.Groups {
		piled[exact(g)] += uint64(t.States[tcpvet.FinWait2])
		resting[exact(g)] += uint64(t.States[tcpvet.TimeWait])
		n := t.States[tcpvet.CloseWait]
		if p := sides.At(g.Netns, g.Role, g.Service).Other(); n > closers[p].count {
			closers[p] = closer{g.Holder, g.Role, n}
		}
	}
	var piles []pileup
	for _, h := range held {
		here := vet.Side{Netns: h.Netns, Role: h.Role, Service: h.Service}
		n := waiting(h.Tally, c.Patience)
		if !h.Service.IsValid() || float64(n) < slow*float64(resting[here]) {
			continue
		}
		p := pileup{Holding: h, count: n, all: piled[here], services: 1, kind: "half-closed"}
		switch {
		case !c.Now.Facts.Has(tcpvet.FactMini):
			p.kind = ""
		case h.Mini >= n, h.Holder == tcpvet.Nobody && c.Now.Facts.Has(tcpvet.FactHolders|tcpvet.FactInode):
			p.kind = "orphaned"
		}
		if o := closers[sides.At(h.Netns, h.Role, h.Service)]; 2*o.count >= n {
			p.closer = o
		}
		p.severity = tcpvet.Info
		if n >= many && p.closer.count == 0 {
			p.severity = tcpvet.Warning
		}
		p.undecided = undecided(&p, float64(resting[here]), c.Now.GroupError)
		piles = append(piles, p)
	}
	var findings []tcpvet.Finding
	for _, p := range sumUp(piles) {
		if p.services > 1 {
			findings = append(findings, p.rest(&c.Now))
			continue
		}
		findings = append(findings, p.finding(&c.Now))
	}
	return findings
}

// waiting counts FIN-WAIT-2 without those that a process holds and to which data still
// comes: there the other end has reason not to close.
func waiting(t *tcpvet.Tally, patience time.Duration) uint32 {
	n := t.States[tcpvet.FinWait2]
	if q := t.FinWait2Quiet; q != nil {
		n -= min(n, uint32(q.Total()-q.AtLeast(patience)))
	}
	return n
}

// undecided tells that what was folded may make the pile-up another one: larger,
// small beside the TIME-WAITs, or one whose other end is on this host.
func undecided(p *pileup, resting float64, lost uint64) bool {
	n := uint64(p.count)
	switch {
	case lost == 0:
		return false
	case float64(n) < slow*(resting+float64(lost)):
		return true
	case p.severity == tcpvet.Warning:
		return n <= 2*lost
	}
	return p.closer.count == 0 && n+lost >= many
}

type pileup struct {
	vet.Holding
	count    uint32 // of States, those that wait for the other end
	all      uint64
	kind     string
	severity tcpvet.Severity
	services int // how many were summed up
	// undecided tells that what was folded may make this another finding.
	undecided bool
	closer    closer // count 0 where the other end is not on this host
}

// orphaned is how many of them no process holds.
func (p *pileup) orphaned() uint32 {
	if p.kind == "orphaned" {
		return p.count
	}
	return p.Mini
}

// sumUp keeps the largest of each kind and namespace, and makes one of the
// others.
func sumUp(piles []pileup) []pileup {
	return vet.Largest(piles, named,
		func(a, b pileup) int { return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.kind, b.kind)) },
		func(a, b pileup) int {
			return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(b.count, a.count))
		},
		func(sum, o *pileup) {
			sum.Merge(&o.Holding)
			sum.count += o.count
			sum.services += o.services
			sum.undecided = sum.undecided || o.undecided
		})
}

func (p *pileup) finding(c *tcpvet.Census) tcpvet.Finding {
	n := p.count
	info := c.Processes[p.Holder]
	f := tcpvet.Finding{
		Rule: name, Severity: p.severity, Kind: p.kind,
		Subject: tcpvet.Subject{Netns: p.Netns, Container: info.Container, Service: p.Service, Services: 1, Local: p.Local()},
		Numbers: []tcpvet.Number{
			{Name: "fin_wait_2_sockets", Value: float64(n)},
			{Name: "orphaned_sockets", Value: float64(p.orphaned())},
		},
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if p.undecided {
		f.Certainty = tcpvet.Likely
	}
	who, selection := "", vet.Selection{State: tcpvet.FinWait2, Local: p.Service}
	switch {
	case p.Holder == tcpvet.Nobody:
	case p.kind == "half-closed":
		who = vet.OwnerText(c, p.Holder)
	default:
		who = vet.ProgramText(c, p.Holder)
	}
	if p.Holder.Known() {
		f.Subject.Processes = append([]tcpvet.Process{p.Holder}, p.SharedWith()...)
	}
	about := "on " + p.Service.String()
	if p.Role == tcpvet.Client {
		about = "to " + p.Service.String()
		selection = vet.Selection{State: tcpvet.FinWait2, Remote: p.Service}
	}
	f.Title = vet.Heading(c, p.Netns, info.Container, who, about)
	f.Detail = p.detail(c)
	if enter, ok := vet.Enter(c, p.Netns, p.Holder); ok {
		f.Evidence = []tcpvet.Evidence{{
			What: "connections in FIN-WAIT-2 there" + vet.OfEveryProcess(c), Got: vet.AtLeast(c.GroupError, p.all), Check: enter + selection.Count(),
		}}
	}
	if p.kind == "half-closed" {
		f.Remedies = append(f.Remedies, tcpvet.Advise{
			Code: true, Text: "after shutdown() read to the end, with a time limit, and then close()", Run: "tcpvet explain close",
		})
	}
	remote := tcpvet.Advise{Code: true, Text: "run tcpvet diagnose on the remote host, and correct the application that keeps these connections in CLOSE-WAIT", Run: "tcpvet explain close-wait-leak"}
	if p.closer.count > 0 {
		remote.Text = "correct the program at the other end, " + p.closer.text(c) + ", which keeps these connections in CLOSE-WAIT"
	}
	f.Remedies = append(f.Remedies, remote)
	return f
}

func (p *pileup) detail(c *tcpvet.Census) []string {
	n := p.count
	d := []string{fmt.Sprintf("This side closed %s; the other end acknowledged that, and its own FIN has not come.", vet.AtLeastCounted(c.GroupError, n, "connection"))}
	switch p.kind {
	case "orphaned":
		text := "No process holds them: the kernel ends each after tcp_fin_timeout"
		ns := c.Netns[p.Netns]
		if v, ok := ns.SysctlInt("net.ipv4.tcp_fin_timeout"); ok && v > 0 {
			text += fmt.Sprintf(" (%s here), so all of them came within that time", vet.Duration(time.Duration(v)*time.Second))
		}
		d = append(d, text+".")
	case "half-closed":
		d = append(d, "A process still holds them, after shutdown(): no timer ends them.")
	default:
		d = append(d, "This input does not tell whether a process still holds them.")
	}
	if p.closer.count > 0 {
		return append(d, fmt.Sprintf("The other end is on this host: %s has %s in CLOSE-WAIT.",
			p.closer.text(c), vet.AtLeast(c.GroupError, p.closer.count)))
	}
	return append(d, "The remote application holds the other ends in CLOSE-WAIT, unless its FINs were lost on the way.")
}
