package orphanpressure_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	orphanpressure "github.com/tcpvet/tcpvet/rules/orphan-pressure"
	"github.com/tcpvet/tcpvet/vet"
)

// TestLacks judges a look from a container, which knows no limit: the rule is
// skipped by name, until the counter says enough alone.
func TestLacks(t *testing.T) {
	look := func(aborts uint64, host map[string]uint64) tcpvet.Census {
		return tcpvet.Census{
			Facts: tcpvet.FactCounters, Host: tcpvet.Host{Counters: host},
			Netns: map[tcpvet.NetnsID]tcpvet.Netns{0: {Counters: map[string]uint64{"TcpExtTCPAbortOnMemory": aborts}}},
		}
	}
	inside := map[string]uint64{"orphans": 30}
	before := look(7, inside)
	for _, tt := range []struct {
		name     string
		c        tcpvet.Case
		missing  tcpvet.Facts
		findings int
	}{
		{"a container", tcpvet.Case{Now: look(7, inside)}, tcpvet.FactSysctls, 0},
		{"a container, nothing rose", tcpvet.Case{Now: look(7, inside), Before: &before}, tcpvet.FactSysctls, 0},
		{"a container, it rose", tcpvet.Case{Now: look(8, inside), Before: &before}, 0, 1},
		{"no counter of the host", tcpvet.Case{Now: look(7, nil)}, tcpvet.FactCounters, 0},
		{"a host", tcpvet.Case{Now: look(7, map[string]uint64{"orphans": 30, "tcp_max_orphans": 1000})}, 0, 0},
	} {
		r := vet.Run(tt.c, []*vet.Rule{orphanpressure.Rule})
		var missing tcpvet.Facts
		for _, s := range r.Skipped {
			missing |= s.Missing
		}
		if missing != tt.missing || len(r.Findings) != tt.findings {
			t.Errorf("%s: skipped for %q, %d findings; want %q, %d", tt.name, missing, len(r.Findings), tt.missing, tt.findings)
		}
	}
}
