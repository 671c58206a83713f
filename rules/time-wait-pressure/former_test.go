package timewaitpressure_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	timewaitpressure "github.com/tcpvet/tcpvet/rules/time-wait-pressure"
)

// Who closed what rests is said where it is remembered, and is nobody that holds
// other connections.
func TestFormer(t *testing.T) {
	findings := timewaitpressure.Rule.Judge(tcpvet.Case{Now: ruletest.Rested(t, 900)})
	if len(findings) != 1 {
		t.Fatalf("%d findings", len(findings))
	}
	got := findings[0]
	for _, want := range []string{
		"As a trace remembers, they were closed by curl[51], which has ended (600); app[50] (200).",
		"TIME-WAIT belongs to no process, and nobody has another connection to that endpoint now.",
	} {
		if !slices.Contains(got.Detail, want) {
			t.Errorf("lacks %q:\n%s", want, strings.Join(got.Detail, "\n"))
		}
	}
	if len(got.Subject.Processes) != 0 {
		t.Errorf("it is about %v, which hold none", got.Subject.Processes)
	}
}
