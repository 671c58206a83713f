package orphanpressure

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const aborts = "TcpExtTCPAbortOnMemory"

// lacks tells that neither the limit is known nor the counter says enough alone.
func lacks(c tcpvet.Case) tcpvet.Facts {
	_, most := c.Now.Host.Counters["tcp_max_orphans"]
	_, count := c.Now.Host.Counters["orphans"]
	switch {
	case count && most, len(vet.Risen(&c, aborts)) > 0:
		return 0
	case !count:
		return tcpvet.FactCounters
	}
	return tcpvet.FactSysctls
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	var findings []tcpvet.Finding
	count, most := c.Now.Host.Counters["orphans"], c.Now.Host.Counters["tcp_max_orphans"]
	if count > 0 && most > 0 && float64(count) >= half*float64(most) {
		findings = append(findings, near(&c.Now, count, most))
	}
	rose := vet.Risen(&c, aborts)
	for _, id := range slices.Sorted(maps.Keys(rose)) {
		findings = append(findings, reset(&c.Now, id, rose[id]))
	}
	return findings
}

// near is the finding of the machine.
func near(c *tcpvet.Census, count, most uint64) tcpvet.Finding {
	ratio := float64(count) / float64(most)
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Warning, Kind: "orphans",
		Subject: tcpvet.Subject{Netns: c.Self},
		Title:   vet.Heading(c, c.Self, nil, "", vet.Counted(count, "orphan")+", "+vet.Percent(ratio)+" of what this machine may have"),
		Detail: []string{
			fmt.Sprintf("%s that no process holds still wait for the peer to acknowledge; the limit is %s.", vet.Counted(count, "closed connection"), vet.Count(most)),
			"Those whose peer has been silent are reset from half of it on, and what they had left to send is lost.",
		},
		Numbers: []tcpvet.Number{
			{Name: "orphan_sockets", Value: float64(count)},
			{Name: "limit_sockets", Value: float64(most)},
			{Name: "used_ratio", Value: ratio},
		},
		Evidence: []tcpvet.Evidence{
			{What: "orphans of the whole machine", Got: vet.Count(count), Check: `awk '$1 == "TCP:" {print $5}' /proc/net/sockstat`},
			{What: "their limit", Got: vet.Count(most), Check: "sysctl -n net.ipv4.tcp_max_orphans"},
		},
		Remedies: []tcpvet.Remedy{
			tcpvet.Advise{Text: "find why the peers do not acknowledge: they vanished, or do not read", Run: "tcpvet explain orphan-pressure"},
			tcpvet.Advise{Code: true, Text: "close after the peer has read: shut down the sending side, read to the end, then close", Run: "tcpvet explain close"},
			tcpvet.Advise{Text: "raise the limit if memory allows: an orphan can hold 64 KB", Run: "tcpvet explain tcp_max_orphans", May: tcpvet.ChangesKernel},
		},
	}
	if ratio >= full {
		f.Severity = tcpvet.Critical
		f.Detail[1] = "What closes next with data unsent is reset at once, and the data is lost."
	}
	if line := toward(c); line != "" {
		f.Detail = append(f.Detail, line)
	}
	return f
}

// toward says where most of the orphans that this look saw have their peer, ""
// where it saw none.
func toward(c *tcpvet.Census) string {
	closing := func(t *tcpvet.Tally) uint64 {
		return uint64(t.States[tcpvet.FinWait1]) + uint64(t.States[tcpvet.Closing]) + uint64(t.States[tcpvet.LastAck])
	}
	held := vet.Holdings(c, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		return !g.Holder.Known() && g.Service.IsValid() && closing(t) > 0
	})
	if len(held) == 0 {
		return ""
	}
	most := held[0]
	for _, h := range held[1:] {
		if closing(h.Tally) > closing(most.Tally) {
			most = h
		}
	}
	where := "to "
	if most.Role == tcpvet.Server {
		where = "of clients of "
	}
	return fmt.Sprintf("The most that this look saw with one service, %s, are %s%s: %s in FIN-WAIT-1, %s in CLOSING, %s in LAST-ACK.",
		vet.AtLeast(c.GroupError, closing(most.Tally)), where, most.Service, vet.Count(most.States[tcpvet.FinWait1]),
		vet.Count(most.States[tcpvet.Closing]), vet.Count(most.States[tcpvet.LastAck]))
}

// reset is the finding of a namespace whose counter rose.
func reset(c *tcpvet.Census, id tcpvet.NetnsID, a vet.Rise) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Warning, Certainty: tcpvet.Likely, Kind: "reset",
		Subject: tcpvet.Subject{Netns: id},
		Title:   vet.Heading(c, id, nil, "", vet.Counted(a.More, "connection")+" reset for lack of room between the looks"),
		Detail: []string{
			"TCPAbortOnMemory rose by " + vet.Count(a.More) + " between the looks: each was closed by its program with data unsent, or the kernel had no memory for it.",
			"The counter does not say whether there were too many orphans (net.ipv4.tcp_max_orphans) or too much memory in use (net.ipv4.tcp_mem).",
		},
		Numbers: []tcpvet.Number{{Name: "reset_connections", Value: float64(a.More)}},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Text: "compare /proc/net/sockstat, orphan and mem (in pages), with both settings on the host", Run: "tcpvet explain orphan-pressure",
		}},
	}
	if enter, ok := vet.Enter(c, id, tcpvet.Nobody); ok {
		f.Evidence = []tcpvet.Evidence{{
			What: "connections reset for lack of room since the namespace began", Got: vet.Count(a.Now),
			Check: enter + "nstat -asz " + aborts + " | awk 'NR == 2 {print $2}'",
		}}
	}
	return f
}
