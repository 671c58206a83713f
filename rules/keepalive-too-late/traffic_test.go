package keepalivetoolate

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// talk makes conversations with a service, of which the first have a note each.
func talk(service string, all int, notes ...tcpvet.Note) *tcpvet.Traffic {
	at := netip.MustParseAddrPort(service)
	s := new(tcpvet.ServiceTraffic)
	for n := range all {
		c := tcpvet.Conversation{File: "a.pcap", Number: n + 1, Client: netip.AddrPortFrom(netip.MustParseAddr("10.9.0.1"), uint16(40000+n)), Server: at}
		c.FromServer.FINs = 1
		if n < len(notes) {
			c.Notes = notes[n : n+1]
		}
		s.Add(&c)
	}
	return &tcpvet.Traffic{
		Files: []string{"a.pcap"}, Check: "a.pcap", Conversations: uint64(all),
		Services: map[netip.AddrPort]*tcpvet.ServiceTraffic{at: s},
	}
}

func notes(n int, kind tcpvet.NoteKind, by tcpvet.End, took ...time.Duration) []tcpvet.Note {
	var all []tcpvet.Note
	for i := range n {
		all = append(all, tcpvet.Note{Kind: kind, By: by, Certainty: tcpvet.Likely, Took: took[i%len(took)]})
	}
	return all
}

func TestTraffic(t *testing.T) {
	const idle, drop = tcpvet.HTTPIdleClose, tcpvet.MiddleboxDrop
	closes := func(n int, took ...time.Duration) []tcpvet.Note {
		return notes(n, idle, tcpvet.ServerEnd, took...)
	}
	raced := append(closes(10, 65*time.Second), tcpvet.Note{Kind: tcpvet.DataAfterClose, By: tcpvet.ClientEnd})
	for _, test := range []struct {
		name     string
		traffic  *tcpvet.Traffic
		severity tcpvet.Severity // 0 for no finding
		says     []string
		check    string // "" for none
	}{
		{"nothing", talk("10.9.0.2:80", 30), 0, nil, ""},
		{"nine idle closes", talk("10.9.0.2:80", 30, closes(9, 65*time.Second)...), 0, nil, ""},
		{"ten of 101", talk("10.9.0.2:80", 101, closes(10, 65*time.Second)...), 0, nil, ""},
		{"ten of 100", talk("10.9.0.2:80", 100, closes(10, 65*time.Second)...), tcpvet.Info,
			[]string{"In 10 of 100 conversations the server closed first, after a silence of 1 min 5 s:", "less than the server's limit, 1 min 5 s"}, "100"},
		{"unlike", talk("10.9.0.2:80", 20, closes(10, 60*time.Second, 80*time.Second)...), tcpvet.Info,
			[]string{"after a silence of 1 min 10 s on average and 1 min 20 s at most"}, "20"},
		{"a race that was lost", talk("[2001:db8::2]:80", 20, raced...), tcpvet.Warning,
			[]string{"In 1 conversation that happened"}, "20"},
		{"one dead after 400 s", talk("10.9.0.2:80", 30, notes(1, drop, tcpvet.NoEnd, 400*time.Second)...), tcpvet.Info,
			[]string{"1 of 30 conversations was dead after a silence of 6 min 40 s", "a TCP_KEEPIDLE and a TCP_KEEPINTVL of at most 3 min 20 s", "tcpvet diagnose --path-idle 10.9.0.2=6m40s"}, ""},
		{"ten dead", talk("10.9.0.2:80", 30, notes(10, drop, tcpvet.NoEnd, 400*time.Second, 800*time.Second)...), tcpvet.Warning,
			[]string{"the idle limit on the way is at most 10 min, unless"}, ""},
		{"a reset by a firewall", talk("10.9.0.2:80", 30, notes(20, tcpvet.MiddleboxReset, tcpvet.NoEnd, 0)...), 0, nil, ""},
	} {
		r := vet.RunTraffic(test.traffic, []*vet.Rule{Rule})
		if test.severity == 0 {
			if len(r.Findings) > 0 {
				t.Errorf("%s: %+v", test.name, r.Findings)
			}
			continue
		}
		if len(r.Findings) != 1 {
			t.Errorf("%s: %d findings", test.name, len(r.Findings))
			continue
		}
		f := r.Findings[0]
		if f.Severity != test.severity || f.Certainty != tcpvet.Likely || f.Numbers[0].Name != "idle_conversations" {
			t.Errorf("%s: %v, %v, %v; want %v", test.name, f.Severity, f.Certainty, f.Numbers, test.severity)
		}
		text := f.Title + "\n" + strings.Join(f.Detail, "\n")
		for _, r := range f.Remedies {
			text += "\n" + r.String() + "\n" + r.Command()
		}
		for _, words := range test.says {
			if !strings.Contains(text, words) {
				t.Errorf("%s: %q is not in\n%s", test.name, words, text)
			}
		}
		got := ""
		for _, e := range f.Evidence {
			got += e.Got
		}
		if got != test.check {
			t.Errorf("%s: evidence %q, want %q", test.name, got, test.check)
		}
	}
}

// What cannot be asked of tcpdump or of a host is not offered.
func TestTrafficWithoutNumbers(t *testing.T) {
	all := append(notes(12, tcpvet.HTTPIdleClose, tcpvet.ServerEnd, time.Minute), notes(3, tcpvet.MiddleboxDrop, tcpvet.NoEnd, time.Minute)...)
	traffic := talk("10.9.0.2:80", 20, all...)
	s := traffic.Services[netip.MustParseAddrPort("10.9.0.2:80")]
	for _, at := range []netip.AddrPort{netip.AddrPortFrom(tcpvet.NamedHost("web.example"), 80), {}} {
		traffic.Services = map[netip.AddrPort]*tcpvet.ServiceTraffic{at: s}
		findings := judgeTraffic(traffic)
		if len(findings) != 2 {
			t.Fatalf("%v: %d findings", at, len(findings))
		}
		for _, f := range findings {
			for _, r := range f.Remedies {
				if len(f.Evidence) != 0 || strings.Contains(r.Command(), "--path-idle") || !strings.Contains(f.Title, tcpvet.EndpointText(at)) {
					t.Errorf("%v: %s: %+v, %s", at, f.Title, f.Evidence, r.Command())
				}
			}
		}
	}
}

// What a limit is judged by has to be known, and no more than that.
func TestLacks(t *testing.T) {
	path, server := tcpvet.PathLimit{Idle: time.Minute}, tcpvet.PathLimit{Kind: tcpvet.OfServer, Idle: time.Minute}
	for _, test := range []struct {
		limits []tcpvet.PathLimit
		knows  tcpvet.Facts
		want   tcpvet.Facts
	}{
		{nil, 0, 0},
		{[]tcpvet.PathLimit{path}, 0, tcpvet.FactInfo | tcpvet.FactTimer},
		{[]tcpvet.PathLimit{path}, tcpvet.FactInfo, tcpvet.FactTimer},
		{[]tcpvet.PathLimit{server}, tcpvet.FactInfo, tcpvet.FactQueues},
		{[]tcpvet.PathLimit{path, server}, tcpvet.FactTimer | tcpvet.FactQueues, tcpvet.FactInfo},
	} {
		if got := lacks(tcpvet.Case{Limits: test.limits, Now: tcpvet.Census{Facts: test.knows}}); got != test.want {
			t.Errorf("%+v, which knows %v: lacks %v, want %v", test.limits, test.knows, got, test.want)
		}
	}
}
