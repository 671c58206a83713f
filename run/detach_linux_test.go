package run_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/run"
)

// A run that is attached ends with its process's descriptor; one that is detached goes
// on without, is listed, and is stopped.
func TestRootDetach(t *testing.T) {
	s := newStage(t)
	runs := run.Runs{Dir: kerneltest.BPFFS(t)}
	v := s.service("api")
	g, err := run.OfProcess(v.Process.Pid)
	must(t, err)
	if g.Path != v.group || len(g.Others) != 0 {
		t.Fatalf("%+v, want %s and nobody else", g, v.group)
	}
	if got := v.values(); got != untouched {
		t.Fatalf("before: %s", got)
	}
	a, err := g.Attach(run.Options{Timers: timers})
	must(t, err)
	if got := v.values(); got != given {
		t.Errorf("attached: %s", got)
	}
	if sum, err := a.Summary(); err != nil || sum.Opened != 1 || sum.Accepted != 1 {
		t.Errorf("attached: %+v, %v", sum, err)
	}
	must(t, a.Close())
	if got := v.values(); got != untouched {
		t.Errorf("afterwards: %s", got)
	}

	want := run.Options{Timers: timers, Pool: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}}
	begun := time.Now()
	must(t, runs.Detach(g, want, "20261129-a"))
	must(t, runs.Detach(g, run.Options{Timers: tcpvet.Timers{UserTimeout: time.Second}}, "20261129-b"))
	all, err := runs.List()
	must(t, err)
	if len(all) != 2 || all[0].ID != "20261129-a" || all[0].Path != v.group || !reflect.DeepEqual(all[0].Options, want) || all[0].Gone || all[0].Err != nil ||
		all[0].Since.Before(begun.Add(-time.Minute)) || all[0].Since.After(time.Now()) {
		t.Fatalf("listed: %+v", all)
	}
	if _, err := runs.Stop("20261129"); err == nil || !strings.Contains(err.Error(), "2 begin so") {
		t.Errorf("stop of two: %v", err)
	}
	_, err = runs.Stop("20261129-b")
	must(t, err)
	if got := v.values(); got != given {
		t.Errorf("detached: %s", got)
	}
	stopped, err := runs.Stop("20261129")
	must(t, err)
	if stopped.ID != "20261129-a" || stopped.Summary.Opened != 1 || stopped.Summary.Accepted != 1 {
		t.Errorf("stopped: %+v", stopped)
	}
	if got := v.values(); got != untouched {
		t.Errorf("after the stop: %s", got)
	}
	if _, err := runs.Stop("20261129-a"); !errors.Is(err, run.ErrNoRun) {
		t.Errorf("stopped again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(runs.Dir, "tcpvet")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder is left in the BPF file system: %v", err)
	}
}

// What outlives its group says so, and so does what is not whole; both can be stopped.
func TestRootDetachedAlone(t *testing.T) {
	s := newStage(t)
	runs := run.Runs{Dir: kerneltest.BPFFS(t)}
	v := s.service("api")
	g, err := run.OfPath(v.group)
	must(t, err)
	must(t, runs.Detach(g, run.Options{Timers: timers}, "one"))
	must(t, runs.Detach(g, run.Options{Timers: timers}, "two"))
	must(t, os.Remove(filepath.Join(runs.Dir, "tcpvet", "run-two", "counts")))
	v.end()
	eventually(t, "the group is removed", func() bool { return syscall.Rmdir(v.group) == nil })
	eventually(t, "the kernel has detached the programs", func() bool {
		all, err := runs.List()
		must(t, err)
		return len(all) == 2 && all[0].ID == "one" && all[0].Gone && all[0].Err == nil
	})
	all, err := runs.List()
	must(t, err)
	if all[1].Err == nil || !strings.Contains(all[1].Err.Error(), "counts of run two") {
		t.Errorf("not whole: %+v", all[1])
	}
	for _, d := range all {
		if _, err := runs.Stop(d.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(runs.Dir, "tcpvet")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder is left in the BPF file system: %v", err)
	}
	if err := runs.Detach(g, run.Options{Timers: timers}, "three"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a group that is gone: %v", err)
	}
	for _, id := range []string{"", "../x", "A", strings.Repeat("a", 65)} {
		if err := runs.Detach(g, run.Options{Timers: timers}, id); err == nil || !strings.Contains(err.Error(), "read ID") {
			t.Errorf("ID %q: %v", id, err)
		}
	}
}

// Without a BPF file system it is said how to mount one.
func TestRootDetachNeedsBPFFS(t *testing.T) {
	s := newStage(t)
	v := s.service("api")
	g, err := run.OfPath(v.group)
	must(t, err)
	runs := run.Runs{Dir: t.TempDir()}
	err = runs.Detach(g, run.Options{Timers: timers}, run.NewID())
	if err == nil || !strings.Contains(err.Error(), "mount -t bpf bpf "+runs.Dir) {
		t.Errorf("detach: %v", err)
	}
	if _, err := runs.List(); err == nil || !strings.Contains(err.Error(), "mount -t bpf bpf "+runs.Dir) {
		t.Errorf("list: %v", err)
	}
	if left, _ := os.ReadDir(runs.Dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// As changes of a plan: begun, seen, stopped, and not stopped twice.
func TestRootActor(t *testing.T) {
	s := newStage(t)
	ctx := context.Background()
	runs := run.Runs{Dir: kerneltest.BPFFS(t)}
	v := s.service("api")
	g, err := run.OfPath(v.group)
	must(t, err)
	apply := func(p *tcpvet.Plan, a run.Actor) tcpvet.Change {
		t.Helper()
		must(t, a.Present(ctx, p.Changes))
		must(t, a.Apply(ctx, p.Changes, func(i int, o tcpvet.Outcome, reason string) {
			p.Changes[i].Outcome, p.Changes[i].Reason = o, reason
		}))
		return p.Changes[0]
	}
	plan, actor, err := runs.PlanDetach(g, run.Options{Timers: timers})
	must(t, err)
	if plan.Kind != tcpvet.RunPlan || plan.Risk != tcpvet.ChangesProcess || len(plan.Changes) != 1 || !strings.Contains(strings.Join(plan.Notes, " "), "is gone ends after 59s") {
		t.Fatalf("plan: %+v", plan)
	}
	begun := apply(&plan, actor)
	if begun.Outcome != tcpvet.OutcomeApplied || v.values() != given {
		t.Fatalf("begun: %+v", begun)
	}
	stop, stopper, err := runs.PlanStop(begun.Target.Run)
	must(t, err)
	if stop.Changes[0].Before != begun.After {
		t.Errorf("stop plans from %+v, the run is %+v", stop.Changes[0].Before, begun.After)
	}
	// From the journal, undo has the change alone.
	back := tcpvet.Plan{Changes: []tcpvet.Change{{Target: begun.Target, Before: begun.After, After: begun.Before}}}
	if done := apply(&back, run.Actor{Runs: runs}); done.Outcome != tcpvet.OutcomeApplied || v.values() != untouched {
		t.Errorf("undone: %+v", done)
	}
	if done := apply(&stop, stopper); done.Outcome != tcpvet.OutcomeGone || !strings.Contains(done.Reason, "stopped already") {
		t.Errorf("stopped twice: %+v", done)
	}
	again := tcpvet.Plan{Changes: []tcpvet.Change{{Target: begun.Target, After: begun.After}}}
	if done := apply(&again, run.Actor{Runs: runs}); done.Outcome != tcpvet.OutcomeRefused || !strings.Contains(done.Reason, "begin it anew") {
		t.Errorf("undo of a stop: %+v", done)
	}
	// What fails has its reason.
	v.end()
	eventually(t, "the group is removed", func() bool { return syscall.Rmdir(v.group) == nil })
	plan, actor, err = runs.PlanDetach(g, run.Options{Timers: timers})
	must(t, err)
	if done := apply(&plan, actor); done.Outcome != tcpvet.OutcomeFailed || !strings.Contains(done.Reason, "open cgroup") {
		t.Errorf("without a group: %+v", done)
	}
}
