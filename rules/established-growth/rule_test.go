package establishedgrowth_test

import (
	"strings"
	"testing"
	"time"

	establishedgrowth "github.com/tcpvet/tcpvet/rules/established-growth"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, establishedgrowth.Rule) }

// TestWithoutTimes judges two looks of which one or both do not tell when they were:
// there is no rate, and idle for patience counts. A look that came later is none
// before.
func TestWithoutTimes(t *testing.T) {
	for _, f := range ruletest.Load(t, "testdata") {
		if f.Name != "no-pool" {
			continue
		}
		judge := func(patience time.Duration) string {
			f.Case.Patience = patience
			for _, found := range ruletest.Judge(t, establishedgrowth.Rule, f.Case) {
				return ruletest.Text(found)
			}
			return ""
		}
		now := f.Case.Now.Taken
		f.Case.Before.Taken = now.Add(time.Second)
		if got := judge(time.Second); got != "" {
			t.Errorf("before is later than now:\n%s", got)
		}
		f.Case.Before.Taken = time.Time{}
		if got := judge(16 * time.Second); !strings.Contains(got, "30 more than at the look before. 60 have lain idle") || strings.Contains(got, "_per_s") || strings.Contains(got, "rate") {
			t.Errorf("without times:\n%s", got)
		}
		if got := judge(33 * time.Second); got != "" { // the oldest are 20 s old
			t.Errorf("they have not been idle for patience:\n%s", got)
		}
		return
	}
	t.Fatal("the fixture no-pool is gone")
}
