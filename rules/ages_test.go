package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/rules"
)

// TestAgesInForce holds the pages of rules that count ages to the edges that the
// histograms have.
func TestAgesInForce(t *testing.T) {
	var h tcpvet.Histogram
	for rule, limit := range map[string]time.Duration{
		"close-wait-leak": tcpvet.DefaultPatience,
		"no-keepalive":    4 * tcpvet.DefaultPatience,
		"half-open":       tcpvet.DefaultPatience / 4,
		"unread-data":     tcpvet.DefaultPatience,
	} {
		want := fmt.Sprintf("%.1f s", h.Edge(limit).Seconds())
		told := false
		for _, n := range rules.Find(rule).Doc.Numbers {
			told = told || strings.Contains(n.Value+n.Reason, want)
		}
		if !told {
			t.Errorf("%s: no number of its page says that %v is %s in force", rule, limit, want)
		}
	}
}
