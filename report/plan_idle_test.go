package report

import (
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Idle times that lie apart make one row; a few that differ are told one by one.
func TestPlanPutsTogetherIdleTimes(t *testing.T) {
	spread := func(idle ...int) (changes []tcpvet.Change) {
		for n, s := range idle {
			c := socketChange(n, tcpvet.Established, 4121)
			c.After.Timers.Idle = time.Duration(s) * time.Second
			changes = append(changes, c)
		}
		return changes
	}
	back := func(changes []tcpvet.Change) []tcpvet.Change { // as undo has them
		for i := range changes {
			changes[i].Before, changes[i].After = changes[i].After, changes[i].Before
		}
		return changes
	}
	programs := spread(30, 30, 30, 30)
	for i := range programs { // whose idle times without keepalive are of no matter
		programs[i].Before.Timers.Idle = time.Duration(i+1) * time.Hour
	}
	for _, tt := range []struct {
		name    string
		changes []tcpvet.Change
		want    []string
	}{
		{"apart", spread(30, 15, 22, 17, 30, 18), []string{"6  ESTAB  off     15s-30s + 5 x 3s"}},
		{"few", spread(30, 15, 22, 30), []string{"2  ESTAB  off     30s + 5 x 3s", "1  ESTAB  off     15s + 5 x 3s", "1  ESTAB  off     22s + 5 x 3s"}},
		{"undone", back(spread(30, 15, 22, 17, 30)), []string{"5  ESTAB  15s-30s + 5 x 3s  off"}},
		{"off", programs, []string{"4  ESTAB  off     30s + 5 x 3s"}},
	} {
		p, c := planOf(tcpvet.KeepalivePlan, tt.changes...)
		got := planText(t, p, c, PlanOptions{})
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, got)
			}
		}
		if n := strings.Count(got, "shop["); n != len(tt.want) {
			t.Errorf("%s: %d rows, want %d:\n%s", tt.name, n, len(tt.want), got)
		}
		if n := strings.Count(planText(t, p, c, PlanOptions{Wide: true}), "shop["); n != len(tt.changes) {
			t.Errorf("%s: -o wide has %d of %d", tt.name, n, len(tt.changes))
		}
	}
}
