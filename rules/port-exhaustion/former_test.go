package portexhaustion_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	portexhaustion "github.com/tcpvet/tcpvet/rules/port-exhaustion"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

// Who closed what rests is said where it is remembered, and is not whom the finding is
// about: no command would find a socket there.
func TestFormer(t *testing.T) {
	findings := portexhaustion.Rule.Judge(tcpvet.Case{Now: ruletest.Rested(t, 1000)})
	if len(findings) != 1 {
		t.Fatalf("%d findings", len(findings))
	}
	got := findings[0]
	want := "Held by nobody since they were closed by curl[51], which has ended (600); no process, as TIME-WAIT and orphans are (200); " +
		"nobody since they were closed by app[50] (200)."
	if !slices.Contains(got.Detail, want) {
		t.Errorf("lacks %q:\n%s", want, strings.Join(got.Detail, "\n"))
	}
	if len(got.Subject.Processes) != 0 {
		t.Errorf("it is about %v, which hold none", got.Subject.Processes)
	}
}
