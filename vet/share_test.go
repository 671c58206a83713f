package vet_test

import (
	"fmt"
	"slices"
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

// What was closed is nobody's: whose it was is told beside, and no command is for that
// process.
func TestFormer(t *testing.T) {
	server, client, script, second := tcpvet.Process{PID: 1, Start: 1}, tcpvet.Process{PID: 2, Start: 1}, tcpvet.Process{PID: 3, Start: 1}, tcpvet.Process{PID: 4, Start: 1}
	tally := func(n, reusable uint32) *tcpvet.Tally {
		t := &tcpvet.Tally{Reusable: reusable}
		t.States[tcpvet.TimeWait] = n
		return t
	}
	b := &tcpvet.Budget{ReusableTimeWait: 25 + 3 + 1}
	b.Taken[tcpvet.TimeWait] = 200 - b.ReusableTimeWait
	c := portCensus(b)
	c.Facts |= tcpvet.FactHolders
	c.Processes = map[tcpvet.Process]tcpvet.ProcessInfo{server: {Comm: "app"}, client: {Comm: "app"}, second: {Comm: "app"}, script: {Comm: "curl", Ended: true}}
	group := func(holder, former tcpvet.Process) tcpvet.Group {
		return tcpvet.Group{Netns: 5, Holder: holder, Former: former, Role: tcpvet.Client, Local: busy.Local, Service: busy.Remote}
	}
	c.Groups = map[tcpvet.Group]*tcpvet.Tally{
		group(tcpvet.Nobody, client):        tally(100, 25),
		group(tcpvet.Nobody, tcpvet.Nobody): tally(48, 0),
		group(tcpvet.Nobody, script):        tally(2, 1),
		group(server, tcpvet.Nobody):        tally(10, 0),
		group(tcpvet.Nobody, second):        tally(5, 0),
	}
	for i := range 40 {
		p := tcpvet.Process{PID: int32(100 + i), Start: 2}
		c.Processes[p] = tcpvet.ProcessInfo{Comm: "curl", Ended: true}
		c.Groups[group(tcpvet.Nobody, p)] = tally(1, 0)
	}
	u := useOf(t, c)
	var text []string
	for _, s := range u.Holders {
		text = append(text, fmt.Sprintf("%d %d %v %d", s.Process.PID, s.Count, s.Former, s.Alike))
	}
	// 100-25 and 2+40-1 are left of those that were closed, 48-3 of the others.
	if want := []string{"2 75 true 0", "0 45 false 0", "3 41 true 40", "1 10 false 0", "4 5 true 0"}; !slices.Equal(text, want) {
		t.Errorf("holders %q, want %q", text, want)
	}
	const (
		closed = "app[2] (75); curl[3] and 40 others of that name, which have ended (41); app[4] (5)"
		held   = "Held by nobody since they were closed by app[2] (75); no process, as TIME-WAIT and orphans are (45); " +
			"nobody since they were closed by curl[3] and 40 others of that name, which have ended (41); 2 others."
	)
	if got := vet.HeldBy(c, u.Holders); got != held {
		t.Errorf("%q, want %q", got, held)
	}
	if got, want := vet.ClosedBy(c, u.Holders), "As a trace remembers, they were closed by "+closed+"."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := vet.ClosedBy(c, u.Holders[1:2]); got != "" {
		t.Errorf("%q of what nobody remembers", got)
	}
	if got := vet.FirstKnown(u.Holders); got != server {
		t.Errorf("%v holds some, not %v", got, server)
	}
	for p, want := range map[tcpvet.Process]string{client: "(app[2])", script: "(curl[3] ended)"} {
		if got := vet.FormerText(c, p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
