package probe

import (
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

func tried(remote string, e Errno, cause tcpvet.Cause) Try {
	return Try{Attempt: *failing(remote, e), Verdict: Verdict{Cause: cause, Text: []string{remote}}}
}

// The address that was reached decides, else the first; and of several attempts at
// it the first that failed.
func TestConclude(t *testing.T) {
	const a, b = "[2001:db8::7]:80", "10.0.3.7:80"
	for _, test := range []struct {
		name      string
		tries     []Try
		main      int
		connected bool
		text      string
	}{
		{"none", nil, 0, false, ""},
		{"the first", []Try{tried(a, 0, tcpvet.NoCause)}, 0, true, a},
		{"the second", []Try{tried(a, ENETUNREACH, tcpvet.CauseNoRoute), tried(b, 0, tcpvet.NoCause)}, 1, true, b},
		{"neither", []Try{tried(a, ENETUNREACH, tcpvet.CauseNoRoute), tried(b, ECONNREFUSED, tcpvet.CauseRefused)}, 0, false, a},
		{"one of three", []Try{tried(b, 0, tcpvet.NoCause), tried(b, ECONNREFUSED, tcpvet.CauseRefused), tried(b, 0, tcpvet.NoCause)}, 1, false, "1 of 3 attempts failed. " + b},
		{"all of two", []Try{tried(b, ECONNREFUSED, tcpvet.CauseRefused), tried(b, ECONNREFUSED, tcpvet.CauseRefused)}, 0, false, "2 of 2 attempts failed. " + b},
		{"reached, but no descriptor there", []Try{tried(b, 0, tcpvet.CauseDescriptorLimit)}, 0, false, b},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Answer{Tries: test.tries}
			got.Conclude()
			if got.Main != test.main || got.Connected() != test.connected || strings.Join(got.Text, " ") != test.text {
				t.Errorf("try %d, connected %v, %q; want %d, %v, %q", got.Main, got.Connected(), got.Text, test.main, test.connected, test.text)
			}
		})
	}
}

func TestNotFound(t *testing.T) {
	r := Resolution{Name: "web", Hosts: "/etc/hosts", Conf: "/etc/resolv.conf", Servers: []string{"10.0.0.2:53"}}
	v := NotFound(r)
	if v.Cause != tcpvet.CauseNameNotFound || v.Certainty != tcpvet.Certain || len(v.Evidence) != 1 || !strings.Contains(v.Text[0], "(10.0.0.2:53) answers that there is none") {
		t.Errorf("%+v", v)
	}
	r.Err = "i/o timeout"
	if v := NotFound(r); v.Certainty != tcpvet.Likely || !strings.Contains(v.Text[0], "no DNS server gave an answer") {
		t.Errorf("no answer: %+v", v)
	}
	r.Family = "IPv6 " // the hosts file may name it with an address of the other family
	if v := NotFound(r); len(v.Evidence) != 0 || !strings.Contains(v.Text[0], "No IPv6 address") {
		t.Errorf("one family: %+v", v)
	}
}
