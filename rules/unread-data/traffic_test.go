package unreaddata

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// shutFor makes conversations with a service; in as many of them as there are times
// the window of the end was 0 twice, and for that long in all.
func shutFor(service string, all int, by tcpvet.End, took ...time.Duration) *tcpvet.Traffic {
	at := netip.MustParseAddrPort(service)
	s := new(tcpvet.ServiceTraffic)
	for n := range all {
		c := tcpvet.Conversation{Number: n + 1, Client: netip.AddrPortFrom(netip.MustParseAddr("10.9.0.1"), uint16(40000+n)), Server: at}
		if n < len(took) {
			c.Notes = []tcpvet.Note{{Kind: tcpvet.ZeroWindow, By: by, Count: 2, Took: took[n]}}
		}
		s.Add(&c)
	}
	return &tcpvet.Traffic{Conversations: uint64(all), Services: map[netip.AddrPort]*tcpvet.ServiceTraffic{at: s}}
}

func many(n int, d time.Duration) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = d
	}
	return all
}

func TestTraffic(t *testing.T) {
	for _, test := range []struct {
		name     string
		traffic  *tcpvet.Traffic
		severity tcpvet.Severity // 0 for no finding
		says     []string
	}{
		{"none", shutFor("10.9.0.2:80", 20, tcpvet.ServerEnd), 0, nil},
		{"short pauses", shutFor("10.9.0.2:80", 20, tcpvet.ServerEnd, many(20, 999*time.Millisecond)...), 0, nil},
		{"one of a second", shutFor("10.9.0.2:80", 20, tcpvet.ServerEnd, time.Second), tcpvet.Info,
			[]string{"the server 10.9.0.2:80   does not read", "In 1 of 20 conversations the window of the server was 0, 2 times in all: for 1 s on average", "tcpvet diagnose src 10.9.0.2:80"}},
		{"nine", shutFor("10.9.0.2:80", 9, tcpvet.ClientEnd, many(9, time.Second)...), tcpvet.Info,
			[]string{"the clients of 10.9.0.2:80   do not read", "the server had to wait", "tcpvet diagnose dst 10.9.0.2:80"}},
		{"ten of 101", shutFor("10.9.0.2:80", 101, tcpvet.ClientEnd, many(10, time.Second)...), tcpvet.Info, nil},
		{"ten of 100", shutFor("[2001:db8::2]:80", 100, tcpvet.ClientEnd, many(10, time.Second)...), tcpvet.Warning,
			[]string{"20 times in all", "tcpvet diagnose dst '[2001:db8::2]:80'"}},
		{"one long, nine short", shutFor("10.9.0.2:80", 10, tcpvet.ClientEnd, append(many(9, time.Millisecond), 9*time.Second)...), tcpvet.Info,
			[]string{"for 900 ms on average, 9 s at most"}},
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
		if f.Severity != test.severity || f.Numbers[0].Name != "zero_window_conversations" {
			t.Errorf("%s: %v, %v; want %v", test.name, f.Severity, f.Numbers, test.severity)
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
	}
}

// Of a host whose name is all that is known nobody can be asked.
func TestTrafficWithoutNumbers(t *testing.T) {
	traffic := shutFor("10.9.0.2:80", 1, tcpvet.ServerEnd, time.Minute)
	s := traffic.Services[netip.MustParseAddrPort("10.9.0.2:80")]
	for _, at := range []netip.AddrPort{netip.AddrPortFrom(tcpvet.NamedHost("web.example"), 80), {}} {
		traffic.Services = map[netip.AddrPort]*tcpvet.ServiceTraffic{at: s}
		if f := judgeTraffic(traffic)[0]; len(f.Remedies) != 1 || !strings.Contains(f.Title, tcpvet.EndpointText(at)) {
			t.Errorf("%v: %s, %+v", at, f.Title, f.Remedies)
		}
	}
}
