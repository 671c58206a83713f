package keepalivetoolate

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// alike is how far the longest may lie from the average for all to show one limit.
const alike = 0.05

func judgeTraffic(t *tcpvet.Traffic) []tcpvet.Finding {
	var findings []tcpvet.Finding
	for service, s := range t.Services {
		v := heard{t, service, s}
		n := s.Notes[tcpvet.NoteOf{Kind: tcpvet.HTTPIdleClose, By: tcpvet.ServerEnd}]
		if n != nil && n.Conversations >= some && float64(n.Conversations) >= share*float64(s.Conversations) {
			findings = append(findings, v.httpIdle(n))
		}
		// A reset that another host sent for its own reasons has no idle time.
		var lost tcpvet.NoteTally
		for _, kind := range []tcpvet.NoteKind{tcpvet.MiddleboxDrop, tcpvet.MiddleboxReset} {
			if n := s.Notes[tcpvet.NoteOf{Kind: kind, By: tcpvet.NoEnd}]; n != nil && n.Took > 0 {
				lost.Conversations += n.Conversations
				lost.Took += n.Took
				lost.Longest = max(lost.Longest, n.Longest)
			}
		}
		if lost.Conversations > 0 {
			findings = append(findings, v.path(&lost))
		}
	}
	return findings
}

// heard is what the captures tell of one service.
type heard struct {
	traffic *tcpvet.Traffic
	service netip.AddrPort
	all     *tcpvet.ServiceTraffic
}

func (v *heard) finding(kind string, n *tcpvet.NoteTally) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Certainty: tcpvet.Likely, Kind: kind,
		Subject: tcpvet.Subject{Service: v.service},
		Numbers: []tcpvet.Number{
			{Name: "idle_conversations", Value: float64(n.Conversations)},
			{Name: "conversations", Value: float64(v.all.Conversations)},
			{Name: "idle_average_s", Value: average(n).Seconds()},
			{Name: "idle_longest_s", Value: n.Longest.Seconds()},
		},
	}
	if !v.service.IsValid() {
		f.Subject.Services = 2
	}
	return f
}

func average(n *tcpvet.NoteTally) time.Duration { return n.Took / time.Duration(n.Conversations) }

// idle says how long the silences were, as one limit where they are alike.
func idle(n *tcpvet.NoteTally) string {
	mean := average(n)
	if n.Conversations == 1 || float64(n.Longest-mean) <= alike*float64(mean) {
		return vet.Duration(n.Longest)
	}
	return vet.Duration(mean) + " on average and " + vet.Duration(n.Longest) + " at most"
}

func (v *heard) httpIdle(n *tcpvet.NoteTally) tcpvet.Finding {
	f := v.finding("http-idle", n)
	at := tcpvet.EndpointText(v.service)
	f.Title = "the server " + at + "   closes idle connections before its clients do"
	f.Detail = []string{
		fmt.Sprintf("In %s of %s the server closed first, after a silence of %s: its limit for idle connections, unless it was being stopped.",
			vet.Count(n.Conversations), vet.Counted(v.all.Conversations, "conversation"), idle(n)),
		"A client that sends its next request at that moment sends it into the FIN, and gets an RST in place of a response.",
	}
	if late := v.all.Notes[tcpvet.NoteOf{Kind: tcpvet.DataAfterClose, By: tcpvet.ClientEnd}]; late != nil && late.Conversations >= raced {
		f.Severity = tcpvet.Warning
		f.Detail = append(f.Detail, "In "+vet.Counted(late.Conversations, "conversation")+" that happened: the client sent data after the server's FIN.")
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "raced_conversations", Value: float64(late.Conversations)})
	}
	limit := average(n)
	f.Evidence = v.serverFINs()
	f.Remedies = []tcpvet.Remedy{
		tcpvet.Advise{Code: true, Text: "let the clients drop a connection that was idle for less than the server's limit, " + vet.Duration(limit) + ", or raise that limit above theirs", Run: "tcpvet explain keepalive"},
		tcpvet.Advise{Code: true, Text: "repeat a request that changes nothing when its connection turns out to be closed"},
	}
	return f
}

// serverFINs counts them with tcpdump.
func (v *heard) serverFINs() []tcpvet.Evidence {
	check, ok := vet.Recorded(v.traffic, v.service, vet.FlagFIN, tcpvet.ServerEnd)
	if !ok {
		return nil
	}
	return []tcpvet.Evidence{{What: "FINs that the server sent", Got: vet.Count(v.all.FromServer.FINs), Check: check}}
}

func (v *heard) path(n *tcpvet.NoteTally) tcpvet.Finding {
	f := v.finding("path", n)
	f.Title = "the way to " + tcpvet.EndpointText(v.service) + "   forgets idle connections"
	if n.Conversations >= some {
		f.Severity = tcpvet.Warning
	}
	verb := "were"
	if n.Conversations == 1 {
		verb = "was"
	}
	f.Detail = []string{
		fmt.Sprintf("%s of %s %s dead after a silence of %s: what was sent then had no answer, though what was sent before had.",
			vet.Count(n.Conversations), vet.Counted(v.all.Conversations, "conversation"), verb, idle(n)),
		"So the idle limit on the way is at most " + vet.Duration(average(n)) + ", unless the other host is gone. No probe came in time to prevent it.",
	}
	f.Remedies = []tcpvet.Remedy{tcpvet.Advise{
		Code: true, Text: "set SO_KEEPALIVE with a TCP_KEEPIDLE and a TCP_KEEPINTVL of at most " + vet.Duration(half(average(n))) + ": half of the silence that was too long", Run: "tcpvet explain keepalive",
	}}
	if v.service.IsValid() {
		if _, name := tcpvet.HostName(v.service.Addr()); !name {
			f.Remedies = append(f.Remedies, tcpvet.Advise{
				Text: "on the client's host this names the programs that probe too late, or never",
				Run:  fmt.Sprintf("tcpvet diagnose --path-idle %s=%s", v.service.Addr(), max(average(n).Truncate(time.Second), time.Second)),
			})
		}
	}
	return f
}
