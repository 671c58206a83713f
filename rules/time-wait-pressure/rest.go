package timewaitpressure

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// mostFirst orders the tuples as the engine orders their findings.
func mostFirst(pressed map[tcpvet.Tuple]*pressure) []*pressure {
	all := make([]*pressure, 0, len(pressed))
	for _, p := range pressed {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pressure) int {
		return cmp.Or(
			cmp.Compare(b.resting(), a.resting()),
			a.tuple.Compare(b.tuple),
		)
	})
	return all
}

// rest is the finding of the tuples that are not named.
func rest(c *tcpvet.Census, all []*pressure) tcpvet.Finding {
	ns, resting := all[0].tuple.Netns, uint64(0)
	for _, p := range all {
		if p.tuple.Netns != ns {
			ns = 0 // of several
		}
		resting += uint64(p.resting())
	}
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Warning, Kind: "more-tuples",
		Subject: tcpvet.Subject{Netns: ns, Services: len(all)},
		Title:   vet.Heading(c, ns, nil, "", vet.AtLeast(c.TupleError, len(all))+" more tuples with ports in TIME-WAIT"),
		Detail: []string{fmt.Sprintf("Besides the %d largest, which are named, the ports of %s tuples rest in TIME-WAIT, %s in all. Each is a local address with a remote endpoint, and has its own count of ports.",
			named, vet.AtLeast(c.TupleError, len(all)), vet.AtLeast(c.TupleError, resting))},
		Numbers: append([]tcpvet.Number{
			{Name: "largest_tuple_ports", Value: float64(all[0].resting())},
			{Name: "more_tuples", Value: float64(len(all))},
			{Name: "time_wait_ports", Value: float64(resting)},
		}, vet.MayLack(c.TupleError, "ports")...),
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Code: true, Text: "keep connections open and use them again: HTTP keep-alive, a session, a pool", Run: "tcpvet explain time-wait",
		}},
	}
	if !slices.ContainsFunc(all, func(p *pressure) bool { return !p.likely(c) }) {
		f.Certainty = tcpvet.Likely
	}
	if enter, ok := vet.Enter(c, ns, tcpvet.Nobody); ok && ns == all[0].tuple.Netns {
		f.Evidence = []tcpvet.Evidence{vet.PortRangeEvidence(c.Netns[ns].Ports, enter)}
	}
	return f
}
