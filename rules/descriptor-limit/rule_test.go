package descriptorlimit_test

import (
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
	descriptorlimit "github.com/tcpvet/tcpvet/rules/descriptor-limit"
	"github.com/tcpvet/tcpvet/rules/ruletest"
)

func TestRule(t *testing.T) { ruletest.Run(t, descriptorlimit.Rule) }

// judged gives the one finding of a fixture, with what is known of its process
// changed.
func judged(t *testing.T, fixture string, change func(*tcpvet.ProcessInfo)) tcpvet.Finding {
	t.Helper()
	for _, f := range ruletest.Load(t, "testdata") {
		if f.Name != fixture {
			continue
		}
		for p, info := range f.Case.Now.Processes {
			change(&info)
			f.Case.Now.Processes[p] = info
		}
		return ruletest.Judge(t, descriptorlimit.Rule, f.Case)[0]
	}
	t.Fatalf("the fixture %s is gone", fixture)
	return tcpvet.Finding{}
}

// TestTableless judges a busy server some of whose sockets are in no table: the
// limit is advised only where they are not the larger part.
func TestTableless(t *testing.T) {
	for _, tt := range []struct {
		tcpvet.Tableless // of 820 sockets
		kind             string
		raise            bool
	}{
		{tcpvet.Tableless{}, "load", true},
		{tcpvet.Tableless{Used: 410}, "load", true},
		{tcpvet.Tableless{Used: 411}, "leak", false},
		{tcpvet.Tableless{Used: 1, Quiet: 410}, "load", false}, // these may not have begun yet
	} {
		f := judged(t, "busy-server", func(info *tcpvet.ProcessInfo) {
			info.Sockets, info.Tableless = 820, &tt.Tableless
		})
		text := ruletest.Text(f)
		if f.Kind != tt.kind || strings.Contains(text, "raise its limit") != tt.raise {
			t.Errorf("%+v: want %s\n%s", tt.Tableless, tt.kind, text)
		}
		if strings.Contains(text, "no table of the kernel") != (tt.Total() > 0) {
			t.Errorf("%+v: said wrongly\n%s", tt.Tableless, text)
		}
	}
}

// TestLeaderExited judges a process whose main thread has exited: its folder in
// /proc shows no descriptors.
func TestLeaderExited(t *testing.T) {
	for _, exited := range []bool{false, true} {
		f := judged(t, "busy-server", func(info *tcpvet.ProcessInfo) { info.LeaderExited = exited })
		if shown := strings.Contains(ruletest.Text(f), "/fd"); shown == exited {
			t.Errorf("the main thread has exited: %v; /proc/PID/fd is evidence: %v", exited, shown)
		}
	}
}
