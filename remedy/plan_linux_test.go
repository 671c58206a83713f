package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func TestApply(t *testing.T) {
	ctx := context.Background()
	j := journalIn(t)
	m := newMemory("a", "b", "c", "e")
	m.fail = "b"
	m.has["e"] = tcpvet.Value{Text: "other"} // changed since the plan was made
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Risk: tcpvet.ChangesProcess, Changes: runs("a", "b", "c", "d", "e", "f")}, By: m}
	p.Changes[5].Outcome = tcpvet.OutcomeRefused
	m.before = func() {
		// All is on the disk before anything is changed.
		log, err := j.Log(5)
		if err != nil || len(log.Entries) != 1 || !log.Entries[0].Recorded || log.Entries[0].Total != 3 || log.Entries[0].Unknown() != 3 {
			t.Errorf("before the first change: %+v, %v", log, err)
		}
		changes, _, err := j.changes(p.ID)
		if err != nil || len(changes) != 3 || changes[0] != runs("a")[0] {
			t.Errorf("before the first change: %+v, %v", changes, err)
		}
	}
	if err := p.Apply(ctx, j); err != nil {
		t.Fatal(err)
	}
	if got := outcomesOf(p); got != "a applied, b failed, c applied, d gone, e refused, f refused" {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(p.Changes[4].Reason, "was off when the plan was made and is other now") {
		t.Errorf("reason %q", p.Changes[4].Reason)
	}
	if !slices.Equal(m.applied, []string{"a", "c"}) {
		t.Errorf("applied %v", m.applied)
	}
	log, err := j.Log(5)
	if err != nil || len(log.Entries) != 1 {
		t.Fatalf("%+v, %v", log, err)
	}
	e := log.Entries[0]
	if e.ID != p.ID || e.Tally["applied"] != 2 || e.Tally["failed"] != 1 || !e.Ended || e.Running || e.Kind != tcpvet.RunPlan || e.Risk != tcpvet.ChangesProcess {
		t.Errorf("%+v", e)
	}
	if err := p.Apply(ctx, j); err == nil || !strings.Contains(err.Error(), p.ID) {
		t.Errorf("applied twice: %v", err)
	}
}

// What leaves nothing to do leaves nothing in the journal.
func TestApplyNothing(t *testing.T) {
	j := journalIn(t)
	m := newMemory("a")
	m.has["a"] = tcpvet.Value{Text: "on"}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a", "gone")}, By: m}
	if err := p.Apply(context.Background(), j); err != nil || outcomesOf(p) != "a unchanged, gone gone" || p.ID != "" {
		t.Errorf("%s, %v", outcomesOf(p), err)
	}
	if _, err := os.Stat(j.Dir); err == nil {
		t.Error("a journal was made")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (&Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a")}, By: m}).Apply(ctx, j); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := (&Plan{Plan: tcpvet.Plan{Kind: tcpvet.ClosePlan, Changes: runs("a")}}).Apply(context.Background(), j); err == nil {
		t.Error("a plan that nobody can apply was applied")
	}
}

// One that gives up in between has its outcomes and its end written down.
func TestApplyStops(t *testing.T) {
	j := journalIn(t)
	m := newMemory("a", "b", "c")
	m.stop = "b"
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a", "b", "c")}, By: m}
	if err := p.Apply(context.Background(), j); !errors.Is(err, errStop) || outcomesOf(p) != "a applied, b, c" {
		t.Errorf("%s, %v", outcomesOf(p), err)
	}
	log, err := j.Log(1)
	if err != nil || log.Entries[0].Err != "stop" || log.Entries[0].Interrupted() {
		t.Errorf("%+v, %v", log, err)
	}
	m.stop = ""
	u, err := PlanUndo(context.Background(), j, p.ID, UndoOptions{Run: m})
	if err != nil || outcomesOf(u) != "c unchanged, b unchanged, a" {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
}

// While one applies a plan nobody else applies one by the same journal: what each notes
// as there before is what the other left.
func TestApplyInTurn(t *testing.T) {
	j := journalIn(t)
	m := newMemory("a")
	folder := func() error {
		f, err := os.Open(j.Dir)
		if err != nil {
			return err
		}
		defer f.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return lock(ctx, f, turnPatience)
	}
	m.before = func() {
		if err := folder(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while it is applied: %v", err)
		}
	}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a")}, By: m}
	if err := p.Apply(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if err := folder(); err != nil {
		t.Errorf("after it: %v", err)
	}

	// Who waits no longer has changed nothing.
	m.before = nil
	done, err := j.turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	second := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("b")}, By: m}
	if err := second.Apply(ctx, j); !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), "; nothing was changed") || second.ID != "" {
		t.Errorf("waiting: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Extend(ctx, j, runs("b")); !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), "; nothing more was changed than "+p.ID+" has") {
		t.Errorf("waiting with more: %v", err)
	}
}

// Who waited for a folder that was removed meanwhile, since nothing was written to it,
// takes its turn in the new one.
func TestTurnAfterRemoval(t *testing.T) {
	j := journalIn(t)
	j.Dir = filepath.Join(j.Dir, "new")
	first, err := j.turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	removed, err := os.Stat(j.Dir)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan func())
	go func() {
		done, err := j.turn(t.Context())
		if err != nil {
			t.Error(err)
		}
		second <- done
	}()
	for !waitedFor(t, removed) {
		time.Sleep(time.Millisecond)
	}
	first()
	done := <-second
	if done == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := j.turn(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third one beside the second: %v", err)
	}
	done()
	if _, err := os.Stat(j.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder is left: %v", err)
	}
}

// A working directory that is gone can be asked for and not be opened by its name.
func TestTurnNowhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		done, err := (&Journal{Dir: "."}).turn(t.Context())
		if err == nil {
			done()
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%v, want that to be said by who writes", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it tries for ever")
	}
}

// waitedFor tells whether two descriptors of this process are of the folder.
func waitedFor(t *testing.T, folder os.FileInfo) bool {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if its, err := os.Stat("/proc/self/fd/" + fd.Name()); err == nil && os.SameFile(its, folder) {
			n++
		}
	}
	return n == 2
}

// Without a journal nothing is changed.
func TestApplyWithoutJournal(t *testing.T) {
	j := journalIn(t)
	if err := os.WriteFile(j.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMemory("a")
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a")}, By: m}
	err := p.Apply(context.Background(), j)
	if _, ok := errors.AsType[*JournalError](err); !ok || !strings.HasSuffix(err.Error(), "nothing was changed") || len(m.applied) != 0 || p.ID != "" {
		t.Errorf("%v, applied %v", err, m.applied)
	}
}

// Outcomes that cannot be written down are told, and the set can be undone.
func TestApplyLosesJournal(t *testing.T) {
	j := journalIn(t)
	file := filepath.Join(j.Dir, journalFile)
	m := newMemory("a", "b")
	m.before = func() {
		if err := os.Chmod(file, 0o666); err != nil { // it is refused from now on
			t.Error(err)
		}
	}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a", "b")}, By: m}
	err := p.Apply(context.Background(), j)
	if lost, ok := errors.AsType[*OutcomeError](err); !ok || lost.ID != p.ID || outcomesOf(p) != "a applied, b applied" {
		t.Fatalf("%s, %v", outcomesOf(p), err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := j.Log(1)
	if err != nil || log.Entries[0].Unknown() != 2 || log.Entries[0].Ended {
		t.Errorf("%+v, %v", log, err)
	}
}

// Outcomes that could not be written down at first are written down later.
func TestApplyWritesLater(t *testing.T) {
	j := journalIn(t)
	file := filepath.Join(j.Dir, journalFile)
	var names []string
	for i := range 3 * batch {
		names = append(names, fmt.Sprint("r", i))
	}
	m := newMemory(names...)
	chmod := func(mode os.FileMode) func() {
		return func() {
			if err := os.Chmod(file, mode); err != nil {
				t.Error(err)
			}
		}
	}
	m.reached = map[string]func(){"r1": chmod(0o666), fmt.Sprint("r", batch+5): chmod(0o600)}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs(names...)}, By: m}
	if err := p.Apply(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	log, err := j.Log(1)
	if err != nil || log.Entries[0].Tally[tcpvet.OutcomeApplied] != len(names) || !log.Entries[0].Ended {
		t.Errorf("%+v, %v", log, err)
	}
}

// What the kernel made of a value is what undo looks for.
func TestApplyOtherValue(t *testing.T) {
	ctx := context.Background()
	j := journalIn(t)
	m := newMemory("a", "b")
	m.makes = map[string]string{"b": "on, as it is written"}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a", "b")}, By: m}
	if err := p.Apply(ctx, j); err != nil {
		t.Fatal(err)
	}
	m.makes = nil
	u, err := PlanUndo(ctx, j, "", UndoOptions{Run: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Apply(ctx, j); err != nil || outcomesOf(u) != "b undone, a undone" {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
}

// A plan of many is written in few writes, and read in full.
func TestApplyMany(t *testing.T) {
	const many = 10_000
	j := journalIn(t)
	var names []string
	for i := range many {
		names = append(names, fmt.Sprint("r", i))
	}
	m := newMemory(names...)
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs(names...)}, By: m}
	if err := p.Apply(context.Background(), j); err != nil || p.Tally()[tcpvet.OutcomeApplied] != many {
		t.Fatal(p.Tally(), err)
	}
	u, err := PlanUndo(context.Background(), j, "", UndoOptions{Run: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Apply(context.Background(), j); err != nil || u.Tally()[tcpvet.OutcomeUndone] != many || m.has["r9999"].Text != "off" {
		t.Fatal(u.Tally(), err)
	}
	log, err := j.Log(5)
	if err != nil || log.Entries[0].Tally[tcpvet.OutcomeApplied] != many || len(log.Entries[0].Undone) != 1 {
		t.Errorf("%+v, %v", log, err)
	}
}

// What is added to a plan is one with it.
func TestExtend(t *testing.T) {
	ctx := context.Background()
	j := journalIn(t)
	m := newMemory("a", "b", "c")
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a")}, By: m}
	if err := p.Apply(ctx, j); err != nil {
		t.Fatal(err)
	}
	more := runs("b", "gone", "c")
	if err := p.Extend(ctx, j, more); err != nil || more[0].Outcome != tcpvet.OutcomeApplied || more[1].Outcome != tcpvet.OutcomeGone || len(p.Changes) != 1 {
		t.Fatalf("%+v, %v", more, err)
	}
	if err := p.Extend(ctx, j, runs("gone")); err != nil {
		t.Error(err)
	}
	changes, missing, err := j.changes(p.ID)
	if err != nil || missing != 0 || len(changes) != 3 {
		t.Fatalf("%+v, %d missing, %v", changes, missing, err)
	}
	for i, want := range []string{"a", "b", "c"} {
		if changes[i].Target.Run != want || changes[i].Outcome != tcpvet.OutcomeApplied {
			t.Errorf("recorded %+v, want %s", changes[i], want)
		}
	}
	u, err := PlanUndo(ctx, j, p.ID, UndoOptions{Run: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Apply(ctx, j); err != nil || outcomesOf(u) != "c undone, b undone, a undone" {
		t.Errorf("%s, %v", outcomesOf(u), err)
	}
	// One that had nothing to do at first begins with what comes.
	late := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan}, By: m}
	if err := late.Extend(ctx, j, runs("a")); err != nil || late.ID == "" || m.has["a"].Text != "on" {
		t.Errorf("%v, %q", err, late.ID)
	}
	// Where no more can be written down no more is changed, and what was stands.
	if err := os.Chmod(j.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	err = late.Extend(ctx, j, runs("b"))
	if _, is := errors.AsType[*JournalError](err); !is || !strings.HasSuffix(err.Error(), "; nothing more was changed than "+late.ID+" has") || m.has["b"].Text == "on" {
		t.Errorf("a journal that others may write: %v, b is %v", err, m.has["b"])
	}
}
