package closewaitleak_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	closewaitleak "github.com/tcpvet/tcpvet/rules/close-wait-leak"
	"github.com/tcpvet/tcpvet/vet"
)

// TestLacks judges connections in CLOSE-WAIT, with and without ages: a few whose age
// is not known are neither found nor said to be well.
func TestLacks(t *testing.T) {
	service := netip.MustParseAddrPort("10.0.3.7:8080")
	look := func(n int, age time.Duration) tcpvet.Census {
		tally := new(tcpvet.Tally)
		for range n {
			s := tcpvet.Socket{State: tcpvet.CloseWait, RecvQ: 1, Known: tcpvet.FactQueues}
			if age > 0 {
				s.Known |= tcpvet.FactInfo
				s.Info.LastAckRecv, s.Info.LastDataRecv, s.Info.LastDataSent = age, age, age
			}
			tally.Add(&s)
		}
		g := tcpvet.Group{Holder: tcpvet.Process{PID: 4121}, Role: tcpvet.Client, Local: netip.MustParseAddr("10.0.0.5"), Service: service}
		return tcpvet.Census{Groups: map[tcpvet.Group]*tcpvet.Tally{g: tally}}
	}
	none := look(0, 0)
	for _, tt := range []struct {
		name     string
		c        tcpvet.Case
		missing  tcpvet.Facts
		findings int
	}{
		{"none", tcpvet.Case{Now: none}, 0, 0},
		{"nine without ages", tcpvet.Case{Now: look(9, 0)}, tcpvet.FactInfo, 0},
		{"nine without ages, none before", tcpvet.Case{Now: look(9, 0), Before: &none}, tcpvet.FactInfo, 0},
		{"ten without ages", tcpvet.Case{Now: look(10, 0)}, 0, 1},
		{"one that is old", tcpvet.Case{Now: look(1, time.Hour)}, 0, 1},
		{"nine that are young", tcpvet.Case{Now: look(9, time.Second)}, 0, 0},
	} {
		r := vet.Run(tt.c, []*vet.Rule{closewaitleak.Rule})
		var missing tcpvet.Facts
		for _, s := range r.Skipped {
			missing |= s.Missing
		}
		if missing != tt.missing || len(r.Findings) != tt.findings {
			t.Errorf("%s: skipped for %q, %d findings; want %q, %d", tt.name, missing, len(r.Findings), tt.missing, tt.findings)
		}
	}
}
