package live

import (
	"testing"

	"github.com/tcpvet/tcpvet/filter"
)

// The program takes what tcpdump takes by an expression of the same meaning;
// the kernel lets nothing else through that it could look into.
func TestRootFilter(t *testing.T) {
	for _, test := range []struct{ ours, theirs string }{
		{"dst 10.7.0.2:80", "tcp and ((dst host 10.7.0.2 and dst port 80) or (src host 10.7.0.2 and src port 80))"},
		{"not ( sport 80 or dport 80 )", "tcp and not port 80"},
		{"src [fd07::/16] dport >= 32768", "ip6 and tcp and ((src net fd07::/16 and ip6[42:2] >= 32768) or (dst net fd07::/16 and ip6[40:2] >= 32768))"},
		{"src 10.7.0.0/31", "tcp and net 10.7.0.0/31"},
	} {
		t.Run(test.ours, func(t *testing.T) {
			stage(t)
			f, err := filter.ParsePackets([]string{"src 10.7.0.9 or (" + test.ours + ")"})
			if err != nil {
				t.Fatal(err)
			}
			var sent []made
			for _, m := range assorted() {
				// tcpdump looks neither past tags nor past
				// extension headers, and takes the ports of a
				// later fragment for none.
				if m.tags == nil && m.before == nil {
					sent = append(sent, m)
				}
			}
			dump := tcpdump(t, "-i", "v0", "src host 10.7.0.9 or ("+test.theirs+")")
			one := begin(t, Options{Interface: "v0", Filter: f})
			all := begin(t, Options{Filter: f})
			newSender(t, "v1").send(sent...)
			got, twice := takeAll(t, one), takeAll(t, all)
			want, _ := dump.stop()
			sameAsTCPDump(t, got, want)
			if len(twice) != 2*len(got) {
				t.Errorf("%d segments on any, %d on v0", len(twice), len(got))
			}
			for _, l := range []*Live{one, all} {
				if s := balanced(t, l); s.Received != s.TCP {
					t.Errorf("the kernel let through more than the filter selects: %+v", s)
				}
			}
		})
	}
}

// What the kernel cannot look into is judged after it.
func TestRootFilterBehindHeaders(t *testing.T) {
	stage(t)
	f, err := filter.ParsePackets([]string{"src [fd07::1] dport 81 or src 10.7.0.9"})
	if err != nil {
		t.Fatal(err)
	}
	l := begin(t, Options{Interface: "v0", Filter: f})
	padding := []byte{0, 0, 1, 4, 0, 0, 0, 0}
	newSender(t, "v1").send(
		made{src: "[fd07::1]:1", dst: "[fd07::2]:80", kind: 60, before: padding},
		made{src: "[fd07::1]:1", dst: "[fd07::2]:81", kind: 60, before: padding},
		made{src: "[fd07::1]:1", dst: "[fd07::2]:81", kind: 60, before: padding, protocol: 17},
		made{src: "[fd07::1]:1", dst: "[fd07::2]:81"},
		made{src: "[fd07::1]:1", dst: "[fd07::2]:80"},
		made{src: last, dst: last},
	)
	if got := takeAll(t, l); len(got) != 2 || got[0].Dst.Port() != 81 || got[1].Dst.Port() != 81 {
		t.Errorf("got %v", got)
	}
	want := Stats{Packets: 5, TCP: 3, Passed: 1, Other: 1, Received: 5}
	if s := balanced(t, l); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}
