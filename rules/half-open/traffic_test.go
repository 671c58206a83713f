package halfopen_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	halfopen "github.com/tcpvet/tcpvet/rules/half-open"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	"github.com/tcpvet/tcpvet/vet"
)

var service = netip.MustParseAddrPort("10.9.0.2:5432")

// silent makes conversations with the service, the first of which have the note.
func silent(all, noted int, note tcpvet.Note, at netip.AddrPort) *tcpvet.Traffic {
	s := new(tcpvet.ServiceTraffic)
	for n := range all {
		c := tcpvet.Conversation{Number: n + 1, Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(10 + n%7)}), uint16(40000+n)), Server: at}
		if n < noted {
			note.Took = time.Duration(n+1) * time.Minute
			c.Notes = []tcpvet.Note{note}
			if note.Kind == tcpvet.UserTimeout {
				c.FromClient.RSTs = 1
			}
		}
		s.Add(&c)
	}
	return &tcpvet.Traffic{Files: []string{"day.pcap"}, Check: "day.pcap", Services: map[netip.AddrPort]*tcpvet.ServiceTraffic{at: s}}
}

func TestTraffic(t *testing.T) {
	drop := tcpvet.Note{Kind: tcpvet.MiddleboxDrop, By: tcpvet.NoEnd, Certainty: tcpvet.Likely, Or: []tcpvet.NoteKind{tcpvet.UserTimeout}}
	gaveUp := tcpvet.Note{Kind: tcpvet.UserTimeout, By: tcpvet.ServerEnd, Certainty: tcpvet.Likely}
	probed := tcpvet.Note{Kind: tcpvet.KeepaliveUnanswered, By: tcpvet.ServerEnd}
	for _, test := range []struct {
		name    string
		traffic *tcpvet.Traffic
		want    string // "" for no finding
	}{
		{"none", silent(30, 0, drop, service), ""},
		{"one has its own note", silent(3, 1, drop, service), ""},
		{"two of twenty", silent(20, 2, drop, service), "info likely unacknowledged\n" +
			"10.9.0.10 and 10.9.0.11   with 10.9.0.2:5432\n2 of 20 conversations went silent: data was sent again and again, and nothing came back, though earlier segments had been acknowledged.\n" +
			"They were idle before that, for up to 2 min: something on the way forgot them, or the other host is gone.\n" +
			"number unacknowledged_conversations 2\nnumber conversations 20\nnumber longest_idle_s 120\ncode tcpvet explain TCP_USER_TIMEOUT"},
		{"two of 21", silent(21, 2, drop, service), ""},
		{"nine", silent(9, 9, drop, service), "info likely unacknowledged\n10.9.0.10, 10.9.0.11, 10.9.0.12, 10.9.0.13, 10.9.0.14 and others   with"},
		{"ten", silent(10, 10, drop, service), "warning likely unacknowledged\n"},
		{"gave up", silent(20, 12, gaveUp, service), "warning likely user-timeout\n10.9.0.10, 10.9.0.11, 10.9.0.12, 10.9.0.13, 10.9.0.14 and others   with 10.9.0.2:5432\n12 of 20 conversations were given up by an RST"},
		{"probed", silent(20, 3, probed, service), "info certain keepalive\n10.9.0.10, 10.9.0.11 and 10.9.0.12   with 10.9.0.2:5432\n3 of 20 conversations have keepalive probes that nobody answered"},
		{"folded services", silent(20, 12, probed, netip.AddrPort{}), "warning certain keepalive\n10.9.0.10, 10.9.0.11, 10.9.0.12, 10.9.0.13, 10.9.0.14 and others   with other\n"},
	} {
		r := vet.RunTraffic(test.traffic, []*vet.Rule{halfopen.Rule})
		got := ""
		for _, f := range r.Findings {
			if err := ruletest.Sound(halfopen.Rule, f); err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			got += ruletest.Text(f)
		}
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

// Both ends of a service may have fallen silent: that is one finding, and its
// evidence counts the RSTs of each.
func TestTrafficOfBothEnds(t *testing.T) {
	traffic := silent(20, 12, tcpvet.Note{Kind: tcpvet.UserTimeout, By: tcpvet.ServerEnd}, service)
	s := traffic.Services[service]
	c := tcpvet.Conversation{Number: 21, Client: netip.MustParseAddrPort("10.9.1.1:40000"), Server: service,
		Notes: []tcpvet.Note{{Kind: tcpvet.UserTimeout, By: tcpvet.ClientEnd}}}
	c.FromServer.RSTs = 1
	s.Add(&c)
	findings := vet.RunTraffic(traffic, []*vet.Rule{halfopen.Rule}).Findings
	if len(findings) != 1 {
		t.Fatalf("%d findings", len(findings))
	}
	text := ruletest.Text(findings[0])
	for _, line := range []string{
		"13 of 21 conversations were given up",
		"check tcpdump -nr day.pcap 'tcp[tcpflags] & tcp-rst != 0 and dst host 10.9.0.2 and dst port 5432' | wc -l => 12\n",
		"check tcpdump -nr day.pcap 'tcp[tcpflags] & tcp-rst != 0 and src host 10.9.0.2 and src port 5432' | wc -l => 1\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
}
