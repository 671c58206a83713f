package rules_test

import (
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/vet"
)

// TestFilteredEvidence judges the fixtures as if a filter had left one socket
// out: no count of the groups is then said to be that of every process.
func TestFilteredEvidence(t *testing.T) {
	const every, selected = ", of every process", ", of those selected (the command counts all)"
	told := make(map[string]int)
	for _, f := range all(t) {
		whole := vet.Run(f.Case, rules.All).Findings
		f.Case.Now.Sockets = f.Case.Now.Selected + 1
		for i, part := range vet.Run(f.Case, rules.All).Findings {
			for k, e := range part.Evidence {
				if got, want := e.What, strings.Replace(whole[i].Evidence[k].What, every, selected, 1); got != want {
					t.Errorf("%s: %s: %q, want %q", f.Name, part.Rule, got, want)
				}
				if strings.HasSuffix(e.What, selected) {
					told[part.Rule]++
				}
			}
		}
	}
	for _, rule := range []string{"established-growth", "keepalive-too-late", "unread-data", "close-wait-leak", "fin-wait-2-pileup", "no-keepalive", "half-open", "syn-sent-pileup", "syn-recv-pileup", "last-ack-pileup"} {
		if told[rule] == 0 {
			t.Errorf("%s never says that its count is filtered: %v", rule, told)
		}
	}
}
