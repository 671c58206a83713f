package synsentpileup

import (
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// enough conversations with one fault are more than their own notes say.
const enough = 2

// judgeTraffic finds services whose SYNs were not answered, or were refused.
func judgeTraffic(t *tcpvet.Traffic) []tcpvet.Finding {
	var findings []tcpvet.Finding
	for service, s := range t.Services {
		for of, n := range s.Notes {
			kind := ""
			switch of.Kind {
			case tcpvet.SYNUnanswered:
				kind = unanswered
			case tcpvet.NoteRefused:
				kind = refused
			default:
				continue
			}
			if of.By == tcpvet.ServerEnd && n.Conversations >= enough && float64(n.Conversations) >= part*float64(s.Conversations) {
				findings = append(findings, recorded(t, service, s, n, kind))
			}
		}
	}
	return findings
}

func recorded(t *tcpvet.Traffic, service netip.AddrPort, s *tcpvet.ServiceTraffic, n *tcpvet.NoteTally, kind string) tcpvet.Finding {
	at := tcpvet.EndpointText(service)
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Kind: kind, Subject: tcpvet.Subject{Service: service},
		Title: vet.ClientsText(n) + "   to " + at,
		Numbers: []tcpvet.Number{
			{Name: kind + "_conversations", Value: float64(n.Conversations)},
			{Name: "conversations", Value: float64(s.Conversations)},
		},
	}
	if !service.IsValid() {
		f.Subject.Services = 2
	}
	if n.Conversations >= many {
		f.Severity = tcpvet.Warning
	}
	if n.Likely > 0 {
		f.Certainty = tcpvet.Likely
	}
	of := fmt.Sprintf("%s of %s", vet.Count(n.Conversations), vet.Counted(s.Conversations, "conversation"))
	evidence := func(what string, got uint64, flag vet.Flag, from tcpvet.End) {
		if check, ok := vet.Recorded(t, service, flag, from); ok {
			f.Evidence = append(f.Evidence, tcpvet.Evidence{What: what, Got: vet.Count(got), Check: check})
		}
	}
	evidence("SYNs that its clients sent, those sent again too", s.FromClients.SYNs, vet.FlagSYN, tcpvet.ClientEnd)
	if kind == refused {
		evidence("RSTs that the server sent", s.FromServer.RSTs, vet.FlagRST, tcpvet.ServerEnd)
		f.Detail = []string{
			of + " were refused: an RST answered the SYN.",
			"Nothing listens there: the server has stopped or listens elsewhere, or a firewall rejects in its name.",
		}
		f.Remedies = []tcpvet.Remedy{tcpvet.Advise{Text: "see on the service's host what listens: ss -ltn", Run: "tcpvet explain ECONNREFUSED"}}
		return f
	}
	evidence("SYN-ACKs that the server sent", s.FromServer.SYNs, vet.FlagSYN, tcpvet.ServerEnd)
	f.Numbers = append(f.Numbers, tcpvet.Number{Name: "sent_syns", Value: float64(n.Count)}, tcpvet.Number{Name: "longest_s", Value: n.Longest.Seconds()})
	f.Detail = []string{
		fmt.Sprintf("%s had no answer: %s were sent, and the longest waited for %s.", of, vet.Counted(n.Count, "SYN"), vet.Duration(n.Longest)),
		"A firewall or a route drops the SYNs, the host is down, its accept queue is full, or a NAT on the way has no port left.",
	}
	f.Remedies = []tcpvet.Remedy{
		tcpvet.Advise{Text: "capture on the service's host too: if the SYNs arrive there, look at its firewall and its accept queue, else at the way", Run: "tcpvet explain SYN-SENT"},
		tcpvet.Advise{Code: true, Text: "set a time limit of a few seconds for connecting, so that callers do not hang", Run: "tcpvet explain ETIMEDOUT"},
	}
	return f
}
