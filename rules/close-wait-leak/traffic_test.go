package closewaitleak

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// talks makes conversations with a service, of which stuck were closed by one
// end alone, the longest ago first.
func talks(service string, all, stuck int, by tcpvet.End, longest time.Duration) *tcpvet.Traffic {
	at := netip.MustParseAddrPort(service)
	s := new(tcpvet.ServiceTraffic)
	for n := range all {
		c := tcpvet.Conversation{
			File: "day's.pcap", Number: n + 1, Client: netip.AddrPortFrom(netip.MustParseAddr("10.9.0.1"), uint16(40000+n)), Server: at,
		}
		if n < stuck {
			c.Close.Kind = tcpvet.HalfClosed
			c.Notes = []tcpvet.Note{{Kind: tcpvet.CloseWaitStuck, By: by, Took: longest - time.Duration(n)*time.Second}}
			c.FromServer.FINs, c.FromClient.FINs = 1, 0
			if by == tcpvet.ServerEnd {
				c.FromServer.FINs, c.FromClient.FINs = 0, 1
			}
		} else {
			c.FromServer.FINs, c.FromClient.FINs = 1, 1
		}
		s.Add(&c)
	}
	return &tcpvet.Traffic{
		Files: []string{"day's.pcap"}, Check: "day's.pcap", Conversations: uint64(all),
		Services: map[netip.AddrPort]*tcpvet.ServiceTraffic{at: s},
	}
}

func TestTraffic(t *testing.T) {
	rules := []*vet.Rule{Rule}
	for _, test := range []struct {
		name      string
		traffic   *tcpvet.Traffic
		severity  tcpvet.Severity // 0 for no finding
		certainty tcpvet.Certainty
		says      []string
		got       []string
	}{
		{"none stuck", talks("10.9.0.2:80", 30, 0, tcpvet.ClientEnd, 0), 0, 0, nil, nil},
		{"one", talks("10.9.0.2:80", 30, 1, tcpvet.ClientEnd, 5*time.Minute), tcpvet.Info, tcpvet.Certain,
			[]string{"1 of 30 conversations was closed by the server", "not by the client", "waited for 5 min when"}, []string{"30", "29"}},
		{"nine", talks("10.9.0.2:80", 9, 9, tcpvet.ClientEnd, 5*time.Minute), tcpvet.Info, tcpvet.Certain,
			[]string{"All of 9 conversations were closed by the server"}, []string{"9", "0"}},
		{"nine that are young", talks("10.9.0.2:80", 9, 9, tcpvet.ClientEnd, 59*time.Second), 0, 0, nil, nil},
		{"a burst at the very end", talks("10.9.0.2:80", 20, 20, tcpvet.ClientEnd, 900*time.Microsecond), tcpvet.Warning, tcpvet.Likely,
			[]string{"The capture ended under 1 ms after"}, []string{"20", "0"}},
		{"ten", talks("10.9.0.2:80", 10, 10, tcpvet.ClientEnd, 5*time.Minute), tcpvet.Warning, tcpvet.Certain,
			[]string{"the application of 10.9.0.1   to 10.9.0.2:80"}, []string{"10", "0"}},
		{"twenty in a short capture", talks("10.9.0.2:80", 20, 20, tcpvet.ClientEnd, 59*time.Second), tcpvet.Warning, tcpvet.Likely,
			[]string{"The capture ended 59 s after the first of those FINs was acknowledged"}, []string{"20", "0"}},
		{"a server's", talks("[2001:db8::2]:80", 12, 11, tcpvet.ServerEnd, time.Hour), tcpvet.Warning, tcpvet.Certain,
			[]string{"11 of 12 conversations were closed by the client", "the server   on [2001:db8::2]:80", "EMFILE (24)"}, []string{"1", "12"}},
	} {
		r := vet.RunTraffic(test.traffic, rules)
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
		if f.Severity != test.severity || f.Certainty != test.certainty {
			t.Errorf("%s: %v, %v; want %v, %v", test.name, f.Severity, f.Certainty, test.severity, test.certainty)
		}
		text := f.Title + "\n" + strings.Join(f.Detail, "\n")
		for _, words := range test.says {
			if !strings.Contains(text, words) {
				t.Errorf("%s: %q is not in\n%s", test.name, words, text)
			}
		}
		var got []string
		for _, e := range f.Evidence {
			got = append(got, e.Got)
			if !strings.HasPrefix(e.Check, `tcpdump -nr 'day'\''s.pcap' `) {
				t.Errorf("%s: check %s", test.name, e.Check)
			}
		}
		if !slices.Equal(got, test.got) {
			t.Errorf("%s: evidence %v, want %v", test.name, got, test.got)
		}
	}
}

// What cannot be asked of tcpdump or of a host is not offered.
func TestTrafficWithoutNumbers(t *testing.T) {
	traffic := talks("10.9.0.2:80", 10, 10, tcpvet.ClientEnd, time.Hour)
	s := traffic.Services[netip.MustParseAddrPort("10.9.0.2:80")]
	named := netip.AddrPortFrom(tcpvet.NamedHost("web.example"), 80)
	for _, at := range []netip.AddrPort{named, {}} {
		traffic.Services = map[netip.AddrPort]*tcpvet.ServiceTraffic{at: s}
		f := judgeTraffic(traffic)[0]
		if len(f.Evidence) != 0 || len(f.Remedies) != 1 {
			t.Errorf("%v: %+v, %+v", at, f.Evidence, f.Remedies)
		}
		if want := tcpvet.EndpointText(at); at.IsValid() && !strings.Contains(f.Title, "web.example:80") {
			t.Errorf("%s: %s", want, f.Title)
		}
	}
}
