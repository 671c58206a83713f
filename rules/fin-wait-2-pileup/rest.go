package finwait2pileup

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// rest is the finding of what was summed up: it names nobody.
func (p *pileup) rest(c *tcpvet.Census) tcpvet.Finding {
	n := p.count
	f := tcpvet.Finding{
		Rule: name, Severity: p.severity, Kind: p.kind,
		Subject: tcpvet.Subject{Netns: p.Netns, Services: p.services, Local: p.Local()},
		Title:   vet.Heading(c, p.Netns, nil, "", vet.AtLeastCounted(c.GroupError, p.services, "more pile-up")),
		Detail: []string{
			fmt.Sprintf("Besides the largest, which are named, this side closed %s in %s of a process and a service, whose other end has not closed.",
				vet.AtLeastCounted(c.GroupError, n, "connection"), vet.Counted(p.services, "pile-up")),
		},
		Numbers: []tcpvet.Number{
			{Name: "fin_wait_2_sockets", Value: float64(n)},
			{Name: "orphaned_sockets", Value: float64(p.orphaned())},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Code: true, Text: "correct the remote applications: so many that do not close have something in common", Run: "tcpvet explain close-wait-leak",
		}},
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if p.undecided {
		f.Certainty = tcpvet.Likely
	}
	if enter, ok := vet.Enter(c, p.Netns, tcpvet.Nobody); ok {
		var all uint64
		for g, t := range c.Groups {
			if g.Netns == p.Netns {
				all += uint64(t.States[tcpvet.FinWait2])
			}
		}
		f.Evidence = []tcpvet.Evidence{{
			What: "connections in FIN-WAIT-2 in this namespace" + vet.OfEveryProcess(c), Got: vet.Count(all),
			Check: enter + vet.Selection{State: tcpvet.FinWait2}.Count(),
		}}
	}
	return f
}
