package portexhaustion

import (
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// noPorts is the finding of a namespace whose settings, or whose bound sockets,
// leave no port for any tuple.
func noPorts(c *tcpvet.Census, id tcpvet.NetnsID, h vet.Headroom) tcpvet.Finding {
	p := c.Netns[id].Ports
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Critical, Kind: "no-usable-port",
		Subject: tcpvet.Subject{Netns: id},
		Title:   vet.Heading(c, id, nil, "", "no local port can be chosen"),
		Detail: []string{
			fmt.Sprintf("The range %d-%d holds %s; %s of them are reserved and %s kept by bind().",
				p.Low, p.High, vet.Counted(h.Range, "port"), vet.Count(h.Reserved), vet.Count(h.Blocked)),
			"Every connect() that leaves the choice to the kernel fails with EADDRNOTAVAIL (99), to any destination; bind() with port 0 fails with EADDRINUSE (98).",
		},
		Numbers: []tcpvet.Number{
			{Name: "unusable_ports", Value: float64(h.Range)},
			{Name: "reserved_ports", Value: float64(h.Reserved)},
			{Name: "blocked_by_bind_ports", Value: float64(h.Blocked)},
			{Name: "left_ports", Value: float64(h.Left)},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Text: "let net.ipv4.ip_local_reserved_ports and net.ipv4.ip_local_port_range leave some ports: the two contradict each other",
			Run:  "tcpvet explain ip_local_reserved_ports",
		}},
	}
	if h.Blocked > h.Reserved {
		f.Remedies = []tcpvet.Remedy{lateBind}
	}
	if enter, ok := vet.Enter(c, id, tcpvet.Nobody); ok {
		f.Evidence = []tcpvet.Evidence{
			vet.PortRangeEvidence(p, enter),
			{What: "reserved ports", Got: spans(&p.Reserved), Check: enter + "sysctl -n net.ipv4.ip_local_reserved_ports"},
		}
	}
	return f
}

// spans writes a set of ports as the kernel does: "8080,9148-9150".
func spans(s *tcpvet.PortSet) string {
	var b strings.Builder
	for low, high := range s.Spans {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, low)
		if high > low {
			fmt.Fprintf(&b, "-%d", high)
		}
	}
	return b.String()
}
