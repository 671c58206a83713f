package tablelesssockets_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	tablelesssockets "github.com/tcpvet/tcpvet/rules/tableless-sockets"
)

// TestSelected judges, where a filter left sockets out, only processes that hold a
// selected one, alone or with others.
func TestSelected(t *testing.T) {
	first, heir, other := tcpvet.Process{PID: 1}, tcpvet.Process{PID: 2}, tcpvet.Process{PID: 3}
	c := tcpvet.Case{Now: tcpvet.Census{
		Sockets: 10, Selected: 10, Facts: tcpvet.FactTableless,
		Groups:    map[tcpvet.Group]*tcpvet.Tally{{Holder: first}: {Shared: map[tcpvet.Process]uint32{heir: 1}}},
		Processes: make(map[tcpvet.Process]tcpvet.ProcessInfo),
	}}
	for _, p := range []tcpvet.Process{first, heir, other} {
		c.Now.Processes[p] = tcpvet.ProcessInfo{Tableless: &tcpvet.Tableless{Used: 1}}
	}
	if n := len(tablelesssockets.Rule.Judge(c)); n != 3 {
		t.Errorf("without a filter: %d findings, want 3", n)
	}
	c.Now.Selected = 9
	for _, f := range tablelesssockets.Rule.Judge(c) {
		if f.Subject.Processes[0] == other {
			t.Errorf("the filter selects no socket of process %d: %s", other.PID, f.Title)
		}
	}
	if n := len(tablelesssockets.Rule.Judge(c)); n != 2 {
		t.Errorf("with a filter: %d findings, want 2", n)
	}
}
