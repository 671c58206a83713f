package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

func TestExplain(t *testing.T) {
	x := &probe.Explanation{
		Verdict: probe.Verdict{
			Cause: tcpvet.CausePortsExhausted, Text: []string{"No port is left.", "By state: 10 ESTAB."},
			Evidence: []tcpvet.Evidence{{What: "sockets", Got: "10", Check: "ss -tanH | wc -l"}},
			Remedies: []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: "share connections"}},
		},
		Gaps: []tcpvet.Gap{{What: "settings", Err: "gone"}},
	}
	explained := func(advice bool) string {
		var b bytes.Buffer
		l := NewEvents(&b, EventOptions{})
		e := fullEvent()
		e.Stack = nil
		if err := l.Event(&e); err != nil {
			t.Fatal(err)
		}
		l.Explain(x, Style{Width: 100}, advice)
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		_, below, _ := strings.Cut(b.String(), "\n")
		return below
	}
	const text, cure, gap = "    No port is left.\n    By state: 10 ESTAB.\n",
		"    see it      ss -tanH | wc -l\n                sockets: 10\n    in code     share connections\n",
		"    not seen: settings: gone\n"
	if got, want := explained(true), text+cure+gap; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := explained(false), text+gap; got != want {
		t.Errorf("without advice: got\n%swant\n%s", got, want)
	}
	x.Certainty = tcpvet.Likely
	if got := explained(false); !strings.HasPrefix(got, "    Likely: ") {
		t.Errorf("likely: %s", got)
	}
}
