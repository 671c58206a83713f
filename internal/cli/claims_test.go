package cli

import (
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet/lab/scenarios"
	"github.com/tcpvet/tcpvet/manual"
)

// Every claim of the article is staged, and the manual names just the scenarios
// that say so.
func TestClaimsAreStaged(t *testing.T) {
	staged := make(map[int][]string)
	for _, sc := range scenarios.All {
		for _, n := range sc.Claims {
			staged[n] = append(staged[n], sc.Name)
		}
	}
	for _, c := range manual.Claims() {
		want := staged[c.N]
		slices.Sort(want)
		if len(want) == 0 || !slices.Equal(c.Staged, want) {
			t.Errorf("claim %d: the manual names %q, the lab has %q", c.N, c.Staged, want)
		}
		delete(staged, c.N)
	}
	for n, names := range staged {
		t.Errorf("scenarios %q are about claim %d, which there is none of", names, n)
	}
}
