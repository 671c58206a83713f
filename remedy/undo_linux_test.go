package remedy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func TestUndo(t *testing.T) {
	ctx := context.Background()
	j := journalIn(t)
	m := newMemory("a", "b", "c", "d")
	opt := UndoOptions{Run: m}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Risk: tcpvet.ChangesProcess, Changes: runs("a", "b", "c", "d")}, By: m}
	m.fail = "d"
	if err := p.Apply(ctx, j); err != nil {
		t.Fatal(err)
	}
	m.fail = ""
	m.has["b"] = tcpvet.Value{Text: "other"}
	delete(m.has, "c")

	u, err := PlanUndo(ctx, j, p.ID[:len(p.ID)-2], opt)
	if err != nil {
		t.Fatal(err)
	}
	// Planned, it has changed nothing.
	if got := outcomesOf(u); got != "d unchanged, c gone, b refused, a" || m.has["a"].Text != "on" || u.Undoes != p.ID || u.Risk != tcpvet.ChangesProcess {
		t.Errorf("planned: %s", got)
	}
	if why := u.Changes[2].Reason; !strings.Contains(why, "set to on and is other now") {
		t.Errorf("reason %q", why)
	}
	if err := u.Apply(ctx, j); err != nil || outcomesOf(u) != "d unchanged, c gone, b refused, a undone" {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
	if m.has["a"].Text != "off" || m.has["b"].Text != "other" {
		t.Errorf("left: %v", m.has)
	}
	log, err := j.Log(5)
	if err != nil || len(log.Entries) != 2 || log.Entries[0].Undone[0] != u.ID || log.Entries[1].Undoes != p.ID {
		t.Errorf("%+v, %v", log, err)
	}

	if _, err := PlanUndo(ctx, j, p.ID, opt); !errors.Is(err, ErrUndone) || !strings.Contains(err.Error(), u.ID) {
		t.Errorf("undone twice: %v", err)
	}
	if _, err := PlanUndo(ctx, j, u.ID, opt); !errors.Is(err, ErrNotUndoable) || !strings.Contains(err.Error(), "undid "+p.ID) {
		t.Errorf("an undo undone: %v", err)
	}
	if _, err := PlanUndo(ctx, j, "", opt); !errors.Is(err, ErrNothing) {
		t.Errorf("nothing is left to undo: %v", err)
	}
	if _, err := PlanUndo(ctx, j, "no-such", opt); !errors.Is(err, ErrNoEntry) {
		t.Errorf("no such entry: %v", err)
	}
}

// What changes between the plan to undo and its being applied is not touched.
func TestUndoStrict(t *testing.T) {
	ctx := context.Background()
	j := journalIn(t)
	m := newMemory("a")
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a")}, By: m}
	if err := p.Apply(ctx, j); err != nil {
		t.Fatal(err)
	}
	u, err := PlanUndo(ctx, j, "", UndoOptions{Run: m})
	if err != nil {
		t.Fatal(err)
	}
	m.has["a"] = tcpvet.Value{Text: "other"}
	if err := u.Apply(ctx, j); err != nil || outcomesOf(u) != "a refused" || m.has["a"].Text != "other" {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
}

func TestUndoRefuses(t *testing.T) {
	ctx := context.Background()
	m := newMemory("a")
	for _, test := range []struct {
		name string
		from func(b []byte) []byte
		opt  UndoOptions
		want error
		text string
	}{
		{"closed sockets", kindOf("close"), UndoOptions{}, ErrNotUndoable, "not opened again"},
		{"a run, and nobody to stop it", kindOf("run"), UndoOptions{}, ErrNotUndoable, "nobody here"},
		{"not recorded", func(b []byte) []byte { return b[:strings.Index(string(b), `{"recorded"`)] }, UndoOptions{Run: m}, ErrNotUndoable, "nothing was changed"},
	} {
		j := journalIn(t)
		if err := j.add(ctx, test.from(written(t, "x-1", "", runs("a"))), false); err != nil {
			t.Fatal(err)
		}
		if _, err := PlanUndo(ctx, j, "x-1", test.opt); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// Nothing of it was applied.
	j := journalIn(t)
	b := kindOf("run")(written(t, "x-1", "", runs("a"), outcomes("x-1", outcomeOfOne{N: 0, Outcome: "refused"})))
	if err := j.add(ctx, b, false); err != nil {
		t.Fatal(err)
	}
	if _, err := PlanUndo(ctx, j, "x-1", UndoOptions{Run: m}); !errors.Is(err, ErrNotUndoable) || !strings.Contains(err.Error(), "nothing of it was applied") {
		t.Errorf("refused: %v", err)
	}
	// The sample is of another start of the machine.
	j = journalIn(t)
	if err := j.add(ctx, kindOf("run")(written(t, "x-1", "", runs("a"))), false); err != nil {
		t.Fatal(err)
	}
	m.has["a"] = tcpvet.Value{Text: "on"}
	u, err := PlanUndo(ctx, j, "x-1", UndoOptions{Run: m})
	if err != nil || outcomesOf(u) != "a gone" || !strings.Contains(u.Changes[0].Reason, "started anew") {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
}

func kindOf(kind string) func([]byte) []byte {
	return func(b []byte) []byte {
		return []byte(strings.Replace(string(b), `"kind":"sysctl"`, `"kind":"`+kind+`"`, 1))
	}
}

// What is missing in the journal is told with the plan.
func TestUndoTellsDamage(t *testing.T) {
	ctx := context.Background()
	j := journalIn(t)
	m := newMemory("a", "b")
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a", "b")}, By: m}
	if err := p.Apply(ctx, j); err != nil {
		t.Fatal(err)
	}
	f, err := j.open(true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1<<16)
	n, _ := f.ReadAt(b, 0)
	text := strings.Replace(string(b[:n]), `"n":1,`, `"n":oops,`, 1)
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	u, err := PlanUndo(ctx, j, p.ID, UndoOptions{Run: m})
	if err != nil || outcomesOf(u) != "a" || len(u.Gaps) != 1 || u.Gaps[0].Count != 1 || !strings.Contains(u.Gaps[0].Err, "1 changes of") {
		t.Errorf("%s, gaps %+v, %v", outcomesOf(u), u.Gaps, err)
	}
}

// A socket whose options were set in part is put back, and one that its program has
// changed is not.
func TestUndoCompare(t *testing.T) {
	before := tcpvet.Timers{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9}
	set := tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5, UserTimeout: time.Second}
	part, own := before, set
	part.Keepalive, part.Idle = true, set.Idle
	own.Idle = 15 * time.Second
	for _, test := range []struct {
		now  tcpvet.Timers
		want tcpvet.Outcome
	}{
		{set, tcpvet.OutcomePlanned}, {part, tcpvet.OutcomePlanned}, {before, tcpvet.OutcomeUnchanged}, {own, tcpvet.OutcomeRefused},
	} {
		c := tcpvet.Change{Target: tcpvet.Target{Cookie: 1}, Before: tcpvet.Value{Timers: test.now}, After: tcpvet.Value{Timers: before}}
		if compare(&c, tcpvet.Value{Timers: set}, true); c.Outcome != test.want {
			t.Errorf("%v: %q, want %q", test.now, c.Outcome, test.want)
		}
	}
	// A setting that is empty now is not half of anything.
	c := tcpvet.Change{Target: tcpvet.Target{Setting: reservedSetting}, After: tcpvet.Value{Text: "80"}}
	if compare(&c, tcpvet.Value{Text: "90"}, true); c.Outcome != tcpvet.OutcomeRefused || !strings.Contains(c.Reason, "is empty now") {
		t.Errorf("%+v", c)
	}
}

// Without an ID a run that was stopped, and its stopping, are passed over; where there is
// nothing else the newest says why.
func TestUndoPastRuns(t *testing.T) {
	ctx := context.Background()
	j := journalIn(t)
	m := newMemory("a", "run")
	opt := UndoOptions{Run: m}
	apply := func(c tcpvet.Change) *Plan {
		p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: []tcpvet.Change{c}}, By: m}
		if err := p.Apply(ctx, j); err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := apply(runs("a")[0])
	begun := apply(runs("run")[0])
	if u, err := PlanUndo(ctx, j, "", opt); err != nil || u.Undoes != begun.ID {
		t.Fatalf("while it goes on: %+v, %v", u, err)
	}
	stopped := apply(tcpvet.Change{Target: tcpvet.Target{Run: "run"}, Before: tcpvet.Value{Text: "on"}, After: tcpvet.Value{Absent: true}})
	delete(m.has, "run")
	u, err := PlanUndo(ctx, j, "", opt)
	if err != nil || u.Undoes != before.ID || !u.Pending() {
		t.Fatalf("stopped: %+v, %v", u, err)
	}
	if err := u.Apply(ctx, j); err != nil {
		t.Fatal(err)
	}
	if u, err := PlanUndo(ctx, j, "", opt); err != nil || u.Undoes != stopped.ID || outcomesOf(u) != "run gone" {
		t.Errorf("nothing else: %+v, %v", u, err)
	}
	log, err := j.Log(9)
	if err != nil || len(log.Entries) != 4 || log.Entries[1].Summary != "begin run" || log.Entries[2].Summary != "stop run" {
		t.Errorf("%+v, %v", log, err)
	}
}
