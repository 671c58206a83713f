package portexhaustion

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// worstFirst orders the shortages as the engine orders their findings.
func worstFirst(short map[tcpvet.Tuple]*shortage) []*shortage {
	all := make([]*shortage, 0, len(short))
	for _, s := range short {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *shortage) int {
		return cmp.Or(
			cmp.Compare(b.severity, a.severity),
			cmp.Compare(b.size(), a.size()),
			a.tuple.Compare(b.tuple),
		)
	})
	return all
}

// rest is the finding of the tuples that are not named: with a small range every
// destination is one.
func rest(c *tcpvet.Census, all []*shortage) tcpvet.Finding {
	worst := all[0]
	ns, largest := worst.tuple.Netns, 0
	var taken int
	graded := make(map[tcpvet.Severity]int)
	for _, s := range all {
		if s.tuple.Netns != ns {
			ns = 0 // of several
		}
		largest = max(largest, s.size())
		taken += s.Taken
		graded[s.severity]++
	}
	f := tcpvet.Finding{
		Rule: name, Severity: worst.severity, Kind: "more-tuples",
		Subject: tcpvet.Subject{Netns: ns, Services: len(all)},
		Title:   vet.Heading(c, ns, nil, "", vet.AtLeast(c.TupleError, len(all))+" more tuples with few local ports left"),
		Numbers: []tcpvet.Number{
			{Name: "largest_tuple_ports", Value: float64(largest)},
			{Name: "more_tuples", Value: float64(len(all))},
			{Name: "taken_ports", Value: float64(taken)},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Text: "what helps the tuples that are named helps these: so many have something in common, as a small range", Run: "tcpvet explain ports",
		}},
	}
	var grades []string
	for severity := tcpvet.Critical; severity >= tcpvet.Info; severity-- {
		if n := graded[severity]; n > 0 {
			grades = append(grades, fmt.Sprintf("%s %s", vet.Count(n), severity))
			f.Numbers = append(f.Numbers, tcpvet.Number{Name: severity.String() + "_tuples", Value: float64(n)})
		}
	}
	f.Detail = []string{fmt.Sprintf("Besides the %d worst, which are named, %s tuples have few local ports left: %s. Each is a local address with a remote endpoint, and has its own count of ports.",
		named, vet.AtLeast(c.TupleError, len(all)), strings.Join(grades, ", "))}
	f.Numbers = append(f.Numbers, vet.MayLack(c.TupleError, "ports")...)
	if !slices.ContainsFunc(all, func(s *shortage) bool { return !s.likely(c) }) {
		f.Certainty = tcpvet.Likely
	}
	if enter, ok := vet.Enter(c, ns, tcpvet.Nobody); ok && ns == worst.tuple.Netns {
		f.Evidence = []tcpvet.Evidence{vet.PortRangeEvidence(c.Netns[ns].Ports, enter)}
	}
	return f
}
