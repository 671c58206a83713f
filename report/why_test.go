package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// answer is of a name with two addresses, of which the first refused.
func answer() *probe.Answer {
	refused := probe.Try{
		Attempt: probe.Attempt{Remote: netip.MustParseAddrPort("[::1]:80"), Errno: probe.ECONNREFUSED},
		Verdict: probe.Verdict{Cause: tcpvet.CauseRefused, Text: []string{"It refused."}},
	}
	done := probe.Try{
		Attempt: probe.Attempt{Remote: netip.MustParseAddrPort("127.0.0.1:80"), Local: netip.MustParseAddrPort("127.0.0.1:40000"), Took: 120 * time.Microsecond, Timestamps: true},
		Verdict: probe.Verdict{
			Text:     []string{"It connected."},
			Evidence: []tcpvet.Evidence{{What: "sockets", Got: "1", Check: "ss | wc -l"}},
			Remedies: []tcpvet.Remedy{tcpvet.Advise{Text: "look", Run: "tcpvet count"}},
		},
	}
	p := tcpvet.Process{PID: 7, Start: 9}
	a := &probe.Answer{
		Target: "we\x1b[2Jb:80", Netns: 5, Process: p,
		Origins: []probe.Origin{{Addr: netip.MustParseAddr("::1"), From: "/etc/hosts"}, {Addr: netip.MustParseAddr("127.0.0.1"), From: "DNS 10.0.0.2:53"}},
		Tries:   []probe.Try{refused, done},
		Census: &tcpvet.Census{
			Self: 4, Processes: map[tcpvet.Process]tcpvet.ProcessInfo{p: {Comm: "app"}},
			Netns: map[tcpvet.NetnsID]tcpvet.Netns{5: {ID: 5, Names: []string{"blue"}}},
			Gaps:  []tcpvet.Gap{{What: "holders", Err: "permission denied", Needs: "root"}},
		},
	}
	a.Conclude()
	return a
}

func TestWhy(t *testing.T) {
	const want = `CONNECTED  in place of app[7]   netns blue   to we?[2Jb:80
  It connected.
  The name has ::1 (/etc/hosts), 127.0.0.1 (DNS 10.0.0.2:53).
  tried [::1]:80: ECONNREFUSED (111), refused
  tried 127.0.0.1:80: connected in 120 us
    see it      ss | wc -l
                sockets: 1
    advice      look: tcpvet count
not seen: holders: permission denied; needs root
`
	var b bytes.Buffer
	if err := Why(&b, answer(), Style{}); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
	a := answer()
	a.Tries, a.Main = a.Tries[:1], 0
	a.Conclude()
	a.Certainty = tcpvet.Likely
	b.Reset()
	if err := Why(&b, a, Style{}); err != nil || !strings.HasPrefix(b.String(), "NOT CONNECTED  refused   in place of app[7]") || !strings.Contains(b.String(), "\n  Likely: ") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// Absent is null, never zero.
func TestWhyDocument(t *testing.T) {
	for _, test := range []struct {
		name string
		of   func() *probe.Answer
		want string
	}{
		{"connected", answer, `"process":{"pid":7,"comm":"app","start":9},"family":"ipv4","bind":null,"errno":null,"cause":null,"certainty":"certain","connect_us":120,"slow_half":null,` +
			`"explanation":"It connected.","headroom":null,"will_have":{"keepalive":false,"timestamps":true},` +
			`"attempts":[{"address":"[::1]:80","from":"/etc/hosts","errno":111,"cause":"refused","connect_us":null},` +
			`{"address":"127.0.0.1:80","from":"DNS 10.0.0.2:53","errno":null,"cause":null,"connect_us":120}]`},
		{"refused", func() *probe.Answer {
			a := answer()
			a.Tries, a.Process = a.Tries[:1], tcpvet.Process{}
			a.Bind = netip.MustParseAddrPort("[::1]:0")
			a.Conclude()
			return a
		}, `"process":null,"family":"ipv6","bind":"[::1]:0","errno":111,"cause":"refused","certainty":"certain","connect_us":null,"slow_half":null,` +
			`"explanation":"It refused.","headroom":null,"will_have":null,`},
		{"no descriptor", func() *probe.Answer {
			a := answer()
			a.Tries = a.Tries[1:]
			a.Tries[0].Cause = tcpvet.CauseDescriptorLimit
			a.Conclude()
			return a
		}, `"errno":24,"cause":"descriptor-limit"`},
		{"no such name", func() *probe.Answer {
			a := answer()
			a.Tries, a.Origins, a.Verdict = nil, nil, probe.NotFound(probe.Resolution{Name: "web", Hosts: "/etc/hosts"})
			return a
		}, `"family":null,"bind":null,"errno":null,"cause":"name-not-found","certainty":"certain","connect_us":null,`},
	} {
		b, err := json.Marshal(jsonv1.WhyOf(test.of()))
		if err != nil || !strings.Contains(string(b), test.want) {
			t.Errorf("%s: %v\n%s\nlacks\n%s", test.name, err, b, test.want)
		}
	}
}
