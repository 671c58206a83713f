package closewaitleak

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// judgeTraffic finds services whose conversations one side closed and the other
// did not, as far as the capture goes.
func judgeTraffic(t *tcpvet.Traffic) []tcpvet.Finding {
	var findings []tcpvet.Finding
	for service, s := range t.Services {
		for _, by := range []tcpvet.End{tcpvet.ClientEnd, tcpvet.ServerEnd} {
			n := s.Notes[tcpvet.NoteOf{Kind: tcpvet.CloseWaitStuck, By: by}]
			// A few that are young are on their way out, as far as is known.
			if n != nil && (n.Conversations >= enough || n.Longest >= tcpvet.DefaultPatience) {
				st := stuck{traffic: t, service: service, by: by, all: s, NoteTally: n}
				findings = append(findings, st.finding())
			}
		}
	}
	return findings
}

// stuck is what one side keeps open toward one service.
type stuck struct {
	*tcpvet.NoteTally
	traffic *tcpvet.Traffic
	service netip.AddrPort
	by      tcpvet.End
	all     *tcpvet.ServiceTraffic
}

// numeric tells that other programs can be asked about the service.
func (s *stuck) numeric() bool {
	_, name := tcpvet.HostName(s.service.Addr())
	return s.service.IsValid() && !name
}

// closed names the end that did its part.
func (s *stuck) closed() string {
	if s.by == tcpvet.ClientEnd {
		return "server"
	}
	return "client"
}

func (s *stuck) finding() tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Certainty: tcpvet.Certain, Kind: string(s.by),
		Subject:  tcpvet.Subject{Service: s.service},
		Title:    s.title(),
		Detail:   s.detail(),
		Evidence: s.evidence(),
		Numbers: []tcpvet.Number{
			{Name: "stuck_conversations", Value: float64(s.Conversations)},
			{Name: "conversations", Value: float64(s.all.Conversations)},
			{Name: "longest_s", Value: s.Longest.Seconds()},
			{Name: "patience_s", Value: tcpvet.DefaultPatience.Seconds()},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: codeTexts[""], Run: "tcpvet explain fix"}},
	}
	if !s.service.IsValid() {
		f.Subject.Services = 2
	}
	if s.Conversations >= enough {
		f.Severity = tcpvet.Warning
	}
	if s.Likely > 0 || s.Longest < tcpvet.DefaultPatience {
		f.Certainty = tcpvet.Likely // the capture ended first
	}
	where := "on the client's host"
	see := "dst "
	if s.by == tcpvet.ServerEnd {
		where, see = "on the server's host", "src "
	}
	if s.numeric() {
		f.Remedies = append(f.Remedies, tcpvet.Advise{
			Text: where + " this names the process, and says what it has left",
			Run:  "tcpvet diagnose " + see + s.service.String(),
		})
	}
	return f
}

func (s *stuck) title() string {
	who := "the application of " + vet.ClientsText(s.NoteTally)
	toward := "to " + tcpvet.EndpointText(s.service)
	if s.by == tcpvet.ServerEnd {
		who, toward = "the server", "on "+tcpvet.EndpointText(s.service)
	}
	return who + "   " + toward
}

func (s *stuck) detail() []string {
	var d []string
	of := fmt.Sprintf("%s of %s", vet.Count(s.Conversations), vet.Counted(s.all.Conversations, "conversation"))
	if s.Conversations == s.all.Conversations {
		of = "All of " + vet.Counted(s.all.Conversations, "conversation")
		if s.Conversations == 1 {
			of = "The one conversation"
		}
	}
	verb := "were"
	if s.Conversations == 1 {
		verb = "was"
	}
	d = append(d, fmt.Sprintf("%s %s closed by the %s, whose FIN was acknowledged, and not by the %s: it stays in CLOSE-WAIT, the %s in FIN-WAIT-2.",
		of, verb, s.closed(), s.by, s.closed()))
	waited := "under 1 ms"
	if s.Longest >= time.Millisecond {
		waited = vet.Duration(s.Longest)
	}
	if s.Longest < tcpvet.DefaultPatience {
		d = append(d, "The capture ended "+waited+" after the first of those FINs was acknowledged, and a slow program may yet close: a longer capture would tell.")
	} else {
		d = append(d, "The longest had waited for "+waited+" when the capture ended.")
	}
	if s.by == tcpvet.ClientEnd {
		return append(d, "Each of them keeps a local port of the client for this destination, and a descriptor. No sysctl cures this.")
	}
	return append(d, "Each of them keeps a descriptor of the server, until accept() fails with EMFILE (24). No sysctl cures this.")
}

// evidence counts FINs with tcpdump: one end sent them, the other did not.
func (s *stuck) evidence() []tcpvet.Evidence {
	server, ok := vet.Recorded(s.traffic, s.service, vet.FlagFIN, tcpvet.ServerEnd)
	if !ok {
		return nil
	}
	clients, _ := vet.Recorded(s.traffic, s.service, vet.FlagFIN, tcpvet.ClientEnd)
	return []tcpvet.Evidence{
		{What: "FINs that the server sent", Got: vet.Count(s.all.FromServer.FINs), Check: server},
		{What: "FINs that its clients sent", Got: vet.Count(s.all.FromClients.FINs), Check: clients},
	}
}
