package synsentpileup_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	synsentpileup "github.com/tcpvet/tcpvet/rules/syn-sent-pileup"
	"github.com/tcpvet/tcpvet/vet"
)

// calls makes conversations with a service: the first are unanswered after three
// SYNs, the next ones refused, the others open as they should.
func calls(at string, all, unanswered, refused int) *tcpvet.Traffic {
	server := netip.MustParseAddrPort(at)
	s := new(tcpvet.ServiceTraffic)
	for n := range all {
		c := tcpvet.Conversation{Number: n + 1, Client: netip.MustParseAddrPort("10.9.0.1:40000"), Server: server}
		c.FromClient.SYNs = 1
		switch {
		case n < unanswered:
			c.FromClient.SYNs = 3
			c.Notes = []tcpvet.Note{{Kind: tcpvet.SYNUnanswered, By: tcpvet.ServerEnd, Count: 3, Took: 7 * time.Second}}
		case n < unanswered+refused:
			c.FromServer.RSTs = 1
			c.Notes = []tcpvet.Note{{Kind: tcpvet.NoteRefused, By: tcpvet.ServerEnd, Took: time.Millisecond}}
		default:
			c.FromServer.SYNs = 1
		}
		s.Add(&c)
	}
	return &tcpvet.Traffic{Files: []string{"day.pcap"}, Check: "day.pcap", Services: map[netip.AddrPort]*tcpvet.ServiceTraffic{server: s}}
}

func TestTraffic(t *testing.T) {
	for _, test := range []struct {
		name    string
		traffic *tcpvet.Traffic
		want    []string // the starts of findings, and lines of the first
	}{
		{"all are well", calls("10.9.0.2:80", 30, 0, 0), nil},
		{"one has its own note", calls("10.9.0.2:80", 1, 1, 0), nil},
		{"two of 21", calls("10.9.0.2:80", 21, 2, 0), nil},
		{"two of twenty", calls("10.9.0.2:80", 20, 2, 0), []string{
			"info certain unanswered\n10.9.0.1   to 10.9.0.2:80\n2 of 20 conversations had no answer: 6 SYNs were sent, and the longest waited for 7 s.",
			"number unanswered_conversations 2\nnumber conversations 20\nnumber sent_syns 6\nnumber longest_s 7\n",
			"check tcpdump -nr day.pcap 'tcp[tcpflags] & tcp-syn != 0 and dst host 10.9.0.2 and dst port 80' | wc -l => 24\n",
			"check tcpdump -nr day.pcap 'tcp[tcpflags] & tcp-syn != 0 and src host 10.9.0.2 and src port 80' | wc -l => 18\n",
		}},
		{"nine", calls("10.9.0.2:80", 9, 9, 0), []string{"info certain unanswered\n"}},
		{"ten", calls("10.9.0.2:80", 10, 10, 0), []string{"warning certain unanswered\n"}},
		{"refused over IPv6", calls("[2001:db8::2]:80", 12, 0, 11), []string{
			"warning certain refused\n10.9.0.1   to [2001:db8::2]:80\n11 of 12 conversations were refused: an RST answered the SYN.",
			"number refused_conversations 11\n",
			"check tcpdump -nr day.pcap 'ip6[6] = 6 and ip6[53] & 2 != 0 and dst host 2001:db8::2 and dst port 80' | wc -l => 12\n",
			"check tcpdump -nr day.pcap 'ip6[6] = 6 and ip6[53] & 4 != 0 and src host 2001:db8::2 and src port 80' | wc -l => 11\n",
			"advice tcpvet explain ECONNREFUSED |",
		}},
	} {
		findings := vet.RunTraffic(test.traffic, []*vet.Rule{synsentpileup.Rule}).Findings
		if len(test.want) == 0 || len(findings) != 1 {
			if len(test.want) != 0 || len(findings) != 0 {
				t.Errorf("%s: %d findings", test.name, len(findings))
			}
			continue
		}
		if err := ruletest.Sound(synsentpileup.Rule, findings[0]); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		text := ruletest.Text(findings[0])
		for i, want := range test.want {
			if !strings.Contains(text, want) || i == 0 && !strings.HasPrefix(text, want) {
				t.Errorf("%s: %q is not in\n%s", test.name, want, text)
			}
		}
	}
	both := calls("10.9.0.2:80", 20, 5, 5)
	if findings := vet.RunTraffic(both, []*vet.Rule{synsentpileup.Rule}).Findings; len(findings) != 2 || findings[0].Kind != "refused" || findings[1].Kind != "unanswered" {
		t.Errorf("of both kinds: %+v", findings)
	}
	both.Check = ""
	for _, f := range vet.RunTraffic(both, []*vet.Rule{synsentpileup.Rule}).Findings {
		if len(f.Evidence) > 0 {
			t.Errorf("evidence of a file that tcpdump does not read: %+v", f.Evidence)
		}
	}
}
