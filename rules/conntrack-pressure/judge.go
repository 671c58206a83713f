package conntrackpressure

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const (
	countSetting = "net.netfilter.nf_conntrack_count"
	maxSetting   = "net.netfilter.nf_conntrack_max"
)

// lacks tells that there is a table whose limit, or whose length, is not known.
func lacks(c tcpvet.Case) tcpvet.Facts {
	_, count := c.Now.Host.Counters["conntrack.count"]
	_, most := c.Now.Host.Counters["conntrack.max"]
	if count != most {
		return tcpvet.FactSysctls
	}
	return 0
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	now := &c.Now
	count, most := now.Host.Counters["conntrack.count"], now.Host.Counters["conntrack.max"]
	if most == 0 || float64(count) < near*float64(most) { // 0 stands for no limit
		return nil
	}
	ratio := float64(count) / float64(most)
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Warning,
		Subject: tcpvet.Subject{Netns: now.Self},
		Title:   vet.Heading(now, now.Self, nil, "", "the connection tracking table is "+vet.Percent(ratio)+" full"),
		Detail: []string{
			fmt.Sprintf("nf_conntrack holds %s of at most %s connections.", vet.Count(count), vet.Count(most)),
			"When it is full the kernel drops what is new: clients time out, to any address and port.",
		},
		Numbers: []tcpvet.Number{
			{Name: "tracked_connections", Value: float64(count)},
			{Name: "limit_connections", Value: float64(most)},
			{Name: "used_ratio", Value: ratio},
		},
		Evidence: []tcpvet.Evidence{
			{What: "connections that are tracked", Got: vet.Count(count), Check: "sysctl -n " + countSetting},
			{What: "their limit", Got: vet.Count(most), Check: "sysctl -n " + maxSetting},
		},
		Remedies: []tcpvet.Remedy{
			tcpvet.SetSysctl{
				Netns: now.Self, Name: maxSetting, Value: fmt.Sprint(2 * most),
				Why: fmt.Sprintf("twice as many, set in the first network namespace: they take about %s MB more of kernel memory when all are used", vet.Count(max(most*entryBytes>>20, 1))),
			},
			tcpvet.Advise{Text: "see what fills it: connections that are long gone, or a service that needs no tracking", Run: "tcpvet explain conntrack-pressure"},
			tcpvet.Advise{Code: true, Text: "keep connections open and use them again: each new one is an entry for minutes", Run: "tcpvet explain ports"},
		},
	}
	if ratio >= full {
		f.Severity = tcpvet.Critical
	}
	return []tcpvet.Finding{f}
}

// entryBytes is about what the kernel takes for an entry: struct nf_conn with its
// extensions and its share of the buckets.
const entryBytes = 400
