package halfopen

import (
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// The kinds.
const (
	unacknowledged = "unacknowledged"
	keepalive      = "keepalive"
)

func judge(c tcpvet.Case) []tcpvet.Finding {
	limit := c.Patience / patienceParts
	held := vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		return !g.Folded() && t.Stalled != nil && (t.Stalled.Twice[tcpvet.Established] > 0 || t.Stalled.ProbedTwice > 0)
	})
	var piles []vet.Pile
	for _, h := range held {
		for _, p := range []pile{unanswered(h, limit), unprobed(h)} {
			if p.Count > 0 {
				p.weigh(&c.Now)
				piles = append(piles, p.Pile)
			}
		}
	}
	var findings []tcpvet.Finding
	for _, p := range vet.SumUp(piles, named) {
		findings = append(findings, pile{Pile: p, limit: limit}.finding(&c.Now))
	}
	return findings
}

type pile struct {
	vet.Pile
	limit time.Duration
}

// weigh works out how bad it is.
func (p *pile) weigh(c *tcpvet.Census) {
	lost := c.GroupError * uint64(len(p.Locals))
	crowd := func(n, of uint64) bool { return n >= some && float64(n) >= part*float64(of) }
	established := uint64(p.States[tcpvet.Established])
	p.Severity = tcpvet.Info
	if crowd(p.Count, established) {
		p.Severity = tcpvet.Warning
	}
	p.Unsure = lost > 0 && crowd(p.Count, established+lost) != crowd(p.Count+lost, established+lost)
}

// unanswered counts connections whose data was sent again at least twice, while the
// peer was silent.
func unanswered(h vet.Holding, limit time.Duration) pile {
	s := h.Stalled
	p := pile{Pile: vet.Pile{Holding: h, Kind: unacknowledged}, limit: limit}
	if s.Silent.Total() == 0 {
		p.Count = uint64(s.Twice[tcpvet.Established]) // the input gives no times
		return p
	}
	p.Count = s.Silent.AtLeast(limit)
	if p.Count == 0 && s.Longest.Age.Low >= limit {
		p.Count = 1 // in the bucket that the limit itself lies in
	}
	return p
}

// unprobed counts connections with at least two keepalive probes unanswered: one may
// be on its way.
func unprobed(h vet.Holding) pile {
	return pile{Pile: vet.Pile{Holding: h, Kind: keepalive, Count: uint64(h.Stalled.ProbedTwice)}}
}
