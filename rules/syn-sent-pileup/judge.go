package synsentpileup

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// unanswered is the one kind of sockets; captures know refused too.
const (
	unanswered = "unanswered"
	refused    = "refused"
)

func judge(c tcpvet.Case) []tcpvet.Finding {
	held := vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		return !g.Folded() && t.Stalled != nil && t.Stalled.Twice[tcpvet.SynSent] > 0
	})
	lost := c.Now.GroupError
	var piles []vet.Pile
	for _, h := range held {
		p := vet.Pile{Holding: h, Kind: unanswered, Count: uint64(h.Stalled.Twice[tcpvet.SynSent]), Severity: tcpvet.Info}
		lack := lost * uint64(len(h.Locals))
		switch {
		case p.Count >= many:
			p.Severity = tcpvet.Warning
		case p.Count < some:
			continue
		default:
			p.Unsure = p.Count+lack >= many
		}
		piles = append(piles, p)
	}
	var findings []tcpvet.Finding
	for _, p := range vet.SumUp(piles, named) {
		findings = append(findings, finding(&c.Now, &p))
	}
	return findings
}

func finding(c *tcpvet.Census, p *vet.Pile) tcpvet.Finding {
	f := p.Finding(c, name)
	all := p.EveryProcess(c, func(t *tcpvet.Tally) uint32 { return t.States[tcpvet.SynSent] })
	f.Numbers = []tcpvet.Number{
		{Name: "unanswered_sockets", Value: float64(p.Count)},
		{Name: "syn_sent_sockets", Value: float64(p.States[tcpvet.SynSent])},
		{Name: "most_retransmits", Value: float64(p.Stalled.Most[tcpvet.SynSent])},
	}
	f.Detail = []string{fmt.Sprintf("%s wait for an answer: each has sent its SYN again at least twice, one %s.",
		vet.Bound(c.GroupError, "At least ")+vet.Counted(p.Count, "connect"), vet.Times(int(p.Stalled.Most[tcpvet.SynSent])))}
	if p.Piles > 1 {
		f.Detail[0] = fmt.Sprintf("Besides the largest, which are named, %s in %s wait for an answer.",
			vet.AtLeastCounted(c.GroupError, p.Count, "connect"), vet.Counted(p.Piles, "pile-up"))
	}
	n := c.Netns[p.Netns]
	if after, ok := vet.ConnectGivesUp(&n); ok {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "connect_fails_after_s", Value: after.Seconds()})
		f.Detail = append(f.Detail, fmt.Sprintf("connect() fails with ETIMEDOUT (110) after %s by the settings here, or a little later. Until then each keeps a descriptor, and a local port for that destination.", vet.Duration(after)))
	} else {
		f.Detail = append(f.Detail, "connect() fails with ETIMEDOUT (110), by default after some two minutes. Until then each keeps a descriptor, and a local port for that destination.")
	}
	f.Detail = append(f.Detail, cause(c, p))
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if enter, ok := p.Enter(c); ok {
		f.Evidence = []tcpvet.Evidence{{
			What: "connects in SYN-SENT there" + vet.OfEveryProcess(c), Got: vet.AtLeast(c.GroupError, all),
			Check: enter + p.Selection(tcpvet.SynSent).Count(),
		}}
	}
	f.Remedies = remedies(p)
	return f
}

// cause names what is known of the other end, else what it may be.
func cause(c *tcpvet.Census, p *vet.Pile) string {
	const may = "Nothing answers, not even by RST: a firewall or a route drops the SYNs, the host is down, its accept queue is full, or a NAT on the way has no port left. All of these look the same from here."
	if p.Piles > 1 {
		return may
	}
	l, q := here(c, p)
	switch {
	case q == nil:
		return may
	case q.Known.Has(tcpvet.FactBacklog|tcpvet.FactBacklogMax) && q.Fullest.Length > q.Fullest.Limit:
		return fmt.Sprintf("The server is on this host: the accept queue of %s is full, and the kernel drops what comes next; see accept-queue-full.", l.Local)
	}
	return fmt.Sprintf("A listener for it is on this host, %s, and its accept queue is not full: a firewall or a route between drops the SYNs.", l.Local)
}

// here finds the listener of the service on this host, if its address is one of
// exactly one namespace.
func here(c *tcpvet.Census, p *vet.Pile) (tcpvet.Listener, *tcpvet.Queue) {
	at := p.Service
	if at.Addr().IsLoopback() {
		return vet.ListenerAt(c, p.Netns, at)
	}
	var found []tcpvet.NetnsID
	for id, n := range c.Netns {
		for _, a := range n.Addresses {
			if a.Prefix.Addr() == at.Addr() {
				found = append(found, id)
				break
			}
		}
	}
	if len(found) != 1 {
		return tcpvet.Listener{}, nil
	}
	return vet.ListenerAt(c, found[0], at)
}

func remedies(p *vet.Pile) []tcpvet.Remedy {
	look := "tcpvet explain SYN-SENT"
	text := "see on the service's host whether the SYNs arrive, with tcpdump: if they do, look at its firewall and its accept queue, else at the way"
	if p.Piles > 1 {
		text = "see what these destinations have in common: a route, a firewall, a NAT, or a list of hosts that are gone"
	}
	return []tcpvet.Remedy{
		tcpvet.Advise{Text: text, Run: look},
		tcpvet.Advise{Code: true, Text: "set a time limit of a few seconds for connecting, so that callers do not hang", Run: "tcpvet explain ETIMEDOUT"},
	}
}
