package closewaitleak_test

import (
	"strings"
	"testing"

	closewaitleak "github.com/tcpvet/tcpvet/rules/close-wait-leak"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

// TestLeaderExited judges the article's case for a process whose main thread
// has exited: its folder in /proc shows no descriptors.
func TestLeaderExited(t *testing.T) {
	for _, f := range ruletest.Load(t, "testdata") {
		if f.Name != "article" {
			continue
		}
		for _, exited := range []bool{false, true} {
			for p, info := range f.Case.Now.Processes {
				info.LeaderExited = exited
				f.Case.Now.Processes[p] = info
			}
			shown := false
			for _, e := range ruletest.Judge(t, closewaitleak.Rule, f.Case)[0].Evidence {
				shown = shown || strings.Contains(e.Check, "/proc/")
			}
			if shown == exited {
				t.Errorf("the main thread has exited: %v; /proc/PID/fd is evidence: %v", exited, shown)
			}
		}
		return
	}
	t.Fatal("the article's fixture is gone")
}
