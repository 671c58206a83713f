package unreaddata

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// judgeTraffic finds services one of whose ends did not read fast enough.
func judgeTraffic(t *tcpvet.Traffic) []tcpvet.Finding {
	var findings []tcpvet.Finding
	for service, s := range t.Services {
		for _, by := range []tcpvet.End{tcpvet.ClientEnd, tcpvet.ServerEnd} {
			if n := s.Notes[tcpvet.NoteOf{Kind: tcpvet.ZeroWindow, By: by}]; n != nil && n.Longest >= pause {
				findings = append(findings, shut(service, by, s, n))
			}
		}
	}
	return findings
}

// shut is the finding of windows that the end by kept at 0.
func shut(service netip.AddrPort, by tcpvet.End, all *tcpvet.ServiceTraffic, n *tcpvet.NoteTally) tcpvet.Finding {
	mean := n.Took / time.Duration(n.Conversations)
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Kind: string(by),
		Subject: tcpvet.Subject{Service: service},
		Numbers: []tcpvet.Number{
			{Name: "zero_window_conversations", Value: float64(n.Conversations)},
			{Name: "conversations", Value: float64(all.Conversations)},
			{Name: "zero_windows", Value: float64(n.Count)},
			{Name: "average_s", Value: mean.Seconds()},
			{Name: "longest_s", Value: n.Longest.Seconds()},
		},
	}
	if !service.IsValid() {
		f.Subject.Services = 2
	}
	if n.Likely > 0 {
		f.Certainty = tcpvet.Likely
	}
	if n.Conversations >= some && float64(n.Conversations) >= share*float64(all.Conversations) && mean >= pause {
		f.Severity = tcpvet.Warning
	}
	at, where := tcpvet.EndpointText(service), "dst"
	f.Title = "the clients of " + at + "   do not read"
	waits := "server"
	if by == tcpvet.ServerEnd {
		f.Title, waits, where = "the server "+at+"   does not read", "client", "src"
	}
	f.Detail = []string{
		fmt.Sprintf("In %s of %s the window of the %s was 0, %s in all: for %s on average, %s at most in one of them.",
			vet.Count(n.Conversations), vet.Counted(all.Conversations, "conversation"), by, times(n.Count), vet.Duration(mean), vet.Duration(n.Longest)),
		"Meanwhile the " + waits + " had to wait with what it wanted to send: the application of the " + string(by) + " did not read, or not fast enough.",
	}
	f.Remedies = []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: "find what keeps the " + string(by) + " from reading, and give the " + waits + "'s writes a time limit", Run: "tcpvet explain unread-data"}}
	if _, name := tcpvet.HostName(service.Addr()); service.IsValid() && !name {
		f.Remedies = append(f.Remedies, tcpvet.Advise{
			Text: "on the " + string(by) + "'s host this names the process, while it lasts", Run: "tcpvet diagnose " + where + " " + vet.ShellFilter(service.String()),
		})
	}
	return f
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return vet.Count(n) + " times"
}
