package lastackpileup

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// kinds are the states that wait for nothing but an ACK.
var kinds = [...]struct {
	word  string
	state tcpvet.State
}{{"last-ack", tcpvet.LastAck}, {"closing", tcpvet.Closing}}

func judge(c tcpvet.Case) []tcpvet.Finding {
	lost := c.Now.GroupError
	var piles []vet.Pile
	for _, k := range kinds {
		for _, h := range vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
			return !g.Folded() && t.Stalled != nil && t.Stalled.Twice[k.state] > 0
		}) {
			p := vet.Pile{Holding: h, Kind: k.word, Count: uint64(h.Stalled.Twice[k.state]), Severity: tcpvet.Info}
			switch {
			case p.Count >= many:
				p.Severity = tcpvet.Warning
			case p.Count < some:
				continue
			default:
				p.Unsure = p.Count+lost*uint64(len(p.Locals)) >= many
			}
			piles = append(piles, p)
		}
	}
	var findings []tcpvet.Finding
	for _, p := range vet.SumUp(piles, named) {
		findings = append(findings, finding(&c.Now, &p))
	}
	return findings
}

func finding(c *tcpvet.Census, p *vet.Pile) tcpvet.Finding {
	state := kinds[0].state
	if p.Kind == kinds[1].word {
		state = kinds[1].state
	}
	f := p.Finding(c, name)
	f.Numbers = []tcpvet.Number{
		{Name: "unacknowledged_sockets", Value: float64(p.Count)},
		{Name: "sockets", Value: float64(p.States[state])},
		{Name: "most_retransmits", Value: float64(p.Stalled.Most[state])},
	}
	first := "The peer closed, then this side did"
	if state == tcpvet.Closing {
		first = "Both sides closed at once"
	}
	f.Detail = []string{fmt.Sprintf("%s: %s have sent the FIN again at least twice, one %s, and nothing came back.",
		first, vet.AtLeastCounted(c.GroupError, p.Count, "connection"), vet.Times(int(p.Stalled.Most[state])))}
	if p.Piles > 1 {
		f.Detail[0] = fmt.Sprintf("Besides the largest, which are named, %s in %s in %s have sent the FIN again, and nothing came back.",
			vet.AtLeastCounted(c.GroupError, p.Count, "connection"), state, vet.Counted(p.Piles, "pile-up"))
	}
	ends, after := end(c, p)
	f.Detail = append(f.Detail, ends)
	if after > 0 {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "ends_after_s", Value: after.Seconds()})
	}
	f.Detail = append(f.Detail, "The peer's host is gone, or something on the way has forgotten the connections: a peer that is up would answer by ACK or RST.")
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if enter, ok := p.Enter(c); ok {
		all := p.EveryProcess(c, func(t *tcpvet.Tally) uint32 { return t.States[state] })
		f.Evidence = []tcpvet.Evidence{{
			What: fmt.Sprintf("connections in %s there%s", state, vet.OfEveryProcess(c)), Got: vet.AtLeast(c.GroupError, all),
			Check: enter + p.Selection(state).Count(),
		}}
	}
	f.Remedies = []tcpvet.Remedy{
		tcpvet.Advise{Run: "tcpvet explain last-ack-pileup", Text: "these end by themselves; find what lost the connections before: a host that died, a firewall or NAT that restarted or forgets idle ones"},
		tcpvet.Advise{Code: true, Run: "tcpvet explain keepalive", Text: "set SO_KEEPALIVE below the idle limit of the path, or close idle connections sooner"},
	}
	return f
}

// end says when the kernel ends them, and after how long from the first
// retransmission; 0 where that is not known.
func end(c *tcpvet.Census, p *vet.Pile) (text string, after time.Duration) {
	n := c.Netns[p.Netns]
	// What was summed up is mostly nobody's, and not said to be.
	orphans := p.Piles == 1 && p.Holder == tcpvet.Nobody && c.Facts.Has(tcpvet.FactHolders)
	held := p.Piles == 1 && p.Holder.Known()
	switch {
	case orphans:
		const who = "No process holds them any more; each keeps its local port"
		d, ok := vet.OrphanGivesUp(&n)
		if !ok {
			return who + ", until the kernel ends it after tcp_orphan_retries, by default some two or three minutes.", 0
		}
		retries, _ := n.SysctlInt("net.ipv4.tcp_orphan_retries")
		means := ""
		if retries == 0 {
			means = ", which means 8"
		}
		return fmt.Sprintf("%s, until the kernel ends it: tcp_orphan_retries = %d%s, is %.1f s after the first retransmission, and then the next one has to be due.",
			who, retries, means, d.Seconds()), d
	case held:
		const who = "A process still holds them, after shutdown()"
		d, ok := vet.DataGivesUp(&n)
		if !ok {
			return who + ": the kernel ends each after tcp_retries2, by default some 15 min.", 0
		}
		retries, _ := n.SysctlInt("net.ipv4.tcp_retries2")
		return fmt.Sprintf("%s: the kernel ends each by tcp_retries2 = %d, %.1f s after the first retransmission, when the next one is due.", who, retries, d.Seconds()), d
	}
	return "The kernel ends each: by tcp_orphan_retries where no process holds it, in some two or three minutes by default, else by tcp_retries2, in some 15 min.", 0
}
