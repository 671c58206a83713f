package halfopen

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// userTimeout is a kind of captures alone: the end that waited gave up.
const userTimeout = "user-timeout"

// enough conversations with one fault are more than their own notes say.
const enough = 2

// judgeTraffic finds services whose conversations were left without an answer.
func judgeTraffic(t *tcpvet.Traffic) []tcpvet.Finding {
	var findings []tcpvet.Finding
	for service, s := range t.Services {
		for _, kind := range []struct {
			word string
			note tcpvet.NoteKind
		}{{unacknowledged, tcpvet.MiddleboxDrop}, {userTimeout, tcpvet.UserTimeout}, {keepalive, tcpvet.KeepaliveUnanswered}} {
			n := tally(s, kind.note)
			if n.Conversations >= enough && float64(n.Conversations) >= part*float64(s.Conversations) {
				findings = append(findings, recorded{traffic: t, service: service, all: s, kind: kind.word, NoteTally: n}.finding())
			}
		}
	}
	return findings
}

// tally sums the notes of one kind, whichever end fell silent.
func tally(s *tcpvet.ServiceTraffic, kind tcpvet.NoteKind) tcpvet.NoteTally {
	var sum tcpvet.NoteTally
	for _, by := range []tcpvet.End{tcpvet.ServerEnd, tcpvet.ClientEnd, tcpvet.NoEnd} {
		n := s.Notes[tcpvet.NoteOf{Kind: kind, By: by}]
		if n == nil {
			continue
		}
		sum.Conversations += n.Conversations
		sum.Likely += n.Likely
		sum.Count += n.Count
		sum.Longest = max(sum.Longest, n.Longest)
		for _, a := range n.Clients {
			switch {
			case slices.Contains(sum.Clients, a):
			case len(sum.Clients) < tcpvet.MaxExamples:
				sum.Clients = append(sum.Clients, a)
			default:
				sum.MoreClients = true
			}
		}
		sum.MoreClients = sum.MoreClients || n.MoreClients
	}
	return sum
}

// recorded is what a capture holds of one kind and service.
type recorded struct {
	tcpvet.NoteTally
	traffic *tcpvet.Traffic
	service netip.AddrPort
	all     *tcpvet.ServiceTraffic
	kind    string
}

func (r recorded) finding() tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Kind: r.kind, Subject: tcpvet.Subject{Service: r.service},
		Title: vet.ClientsText(&r.NoteTally) + "   with " + tcpvet.EndpointText(r.service),
		Numbers: []tcpvet.Number{
			{Name: r.unit() + "_conversations", Value: float64(r.Conversations)},
			{Name: "conversations", Value: float64(r.all.Conversations)},
		},
		Remedies: remedies(),
	}
	if !r.service.IsValid() {
		f.Subject.Services = 2
	}
	if r.Conversations >= some {
		f.Severity = tcpvet.Warning
	}
	if r.Likely > 0 {
		f.Certainty = tcpvet.Likely
	}
	of := fmt.Sprintf("%s of %s", vet.Count(r.Conversations), vet.Counted(r.all.Conversations, "conversation"))
	switch r.kind {
	case unacknowledged:
		f.Detail = []string{
			of + " went silent: data was sent again and again, and nothing came back, though earlier segments had been acknowledged.",
			fmt.Sprintf("They were idle before that, for up to %s: something on the way forgot them, or the other host is gone.", vet.Duration(r.Longest)),
		}
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "longest_idle_s", Value: r.Longest.Seconds()})
	case userTimeout:
		f.Detail = []string{
			of + " were given up by an RST after data or a probe that nobody answered, sooner than the kernel's own limits are.",
			"That is what TCP_USER_TIMEOUT does: it worked as it should, and the peer, or the way to it, was gone.",
		}
		f.Remedies = probedRemedies()
		for _, from := range []tcpvet.End{tcpvet.ClientEnd, tcpvet.ServerEnd} {
			sent, who := r.all.FromClients.RSTs, "its clients"
			if from == tcpvet.ServerEnd {
				sent, who = r.all.FromServer.RSTs, "the server"
			}
			if check, ok := vet.Recorded(r.traffic, r.service, vet.FlagRST, from); ok {
				f.Evidence = append(f.Evidence, tcpvet.Evidence{What: "RSTs that " + who + " sent", Got: vet.Count(sent), Check: check})
			}
		}
	case keepalive:
		f.Detail = []string{
			of + " have keepalive probes that nobody answered: the peer, or the way to it, is gone.",
			"The capture ended before keepalive gave them up.",
		}
		f.Remedies = probedRemedies()
	}
	return f
}

// unit is the kind as a part of a number's name.
func (r recorded) unit() string {
	if r.kind == userTimeout {
		return "user_timeout"
	}
	return r.kind
}
