package vet_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// One holder more than are named takes no more room than its sum; where nobody
// could look, "no process" would be a guess.
func TestHeldBy(t *testing.T) {
	c := tcpvet.Census{Facts: tcpvet.FactHolders, Processes: map[tcpvet.Process]tcpvet.ProcessInfo{}}
	shares := []vet.Share{{Process: tcpvet.Nobody, Count: 1500}}
	for i, comm := range []string{"one", "two", "three", "four"} {
		p := tcpvet.Process{PID: int32(51 + i), Start: 1}
		c.Processes[p] = tcpvet.ProcessInfo{Comm: comm}
		shares = append(shares, vet.Share{Process: p, Count: uint64(40 - i)})
	}
	for n, want := range map[int]string{
		0: "",
		1: "Held by no process, as TIME-WAIT and orphans are (1,500).",
		4: "Held by no process, as TIME-WAIT and orphans are (1,500); one[51] (40); two[52] (39); three[53] (38).",
		5: "Held by no process, as TIME-WAIT and orphans are (1,500); one[51] (40); two[52] (39); 2 others.",
	} {
		if got := vet.HeldBy(&c, shares[:n]); got != want {
			t.Errorf("%d holders: %q, want %q", n, got, want)
		}
	}
	if got := vet.FirstKnown(shares); got.PID != 51 {
		t.Errorf("the first that is known is %v, want 51", got)
	}
	if got := vet.FirstKnown(shares[:1]); got != tcpvet.Nobody {
		t.Errorf("%v is not known", got)
	}
	c.Facts = 0
	if got := vet.HeldBy(&c, shares); got != "" {
		t.Errorf("holders that were not looked for: %q", got)
	}
}
