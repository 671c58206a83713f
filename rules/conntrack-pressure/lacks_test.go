package conntrackpressure_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	conntrackpressure "github.com/tcpvet/tcpvet/rules/conntrack-pressure"
	"github.com/tcpvet/tcpvet/vet"
)

// TestLacks tells a kernel without a table, which is judged, from a table whose
// limit could not be read, which is not.
func TestLacks(t *testing.T) {
	for _, tt := range []struct {
		name     string
		counters map[string]uint64
		skipped  int
	}{
		{"no table", map[string]uint64{"orphans": 1}, 0},
		{"no limit to be read", map[string]uint64{"conntrack.count": 900}, 1},
		{"no count to be read", map[string]uint64{"conntrack.max": 900}, 1},
		{"both", map[string]uint64{"conntrack.count": 1, "conntrack.max": 900}, 0},
	} {
		c := tcpvet.Census{Facts: tcpvet.FactCounters, Host: tcpvet.Host{Counters: tt.counters}}
		if r := vet.Run(tcpvet.Case{Now: c}, []*vet.Rule{conntrackpressure.Rule}); len(r.Skipped) != tt.skipped || len(r.Findings) != 0 {
			t.Errorf("%s: skipped %v, findings %v", tt.name, r.Skipped, r.Findings)
		}
	}
}
