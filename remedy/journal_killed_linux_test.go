package remedy

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// applyAndHang applies a plan, of which it does the first change, tells nothing, and
// waits to be killed.
func applyAndHang() error {
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("a", "b", "c")}, By: hanging{newMemory("a", "b", "c")}}
	return p.Apply(context.Background(), &Journal{Dir: os.Getenv("JOURNAL_DIR")})
}

// hanging makes one change and never comes back.
type hanging struct{ *memory }

func (h hanging) Apply(_ context.Context, changes []tcpvet.Change, tell Tell) error {
	tell(0, tcpvet.OutcomeApplied, "") // a batch is not full: this is lost
	os.Stdout.WriteString("in between\n")
	select {}
}

// Killed in between, what is in the journal is enough to undo.
func TestJournalKilledInBetween(t *testing.T) {
	j := journalIn(t)
	c := kerneltest.Part("journal-killed")
	c.Env = append(c.Env, "JOURNAL_DIR="+j.Dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var b [11]byte
	if _, err := out.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	log, err := j.Log(5)
	if err != nil || len(log.Entries) != 1 || !log.Entries[0].Running || log.Entries[0].Interrupted() {
		t.Errorf("while it runs: %+v, %v", log, err)
	}
	m := newMemory("a", "b", "c")
	if _, err := PlanUndo(context.Background(), j, "", UndoOptions{Run: m}); !errors.Is(err, ErrNothing) {
		t.Errorf("undo of what is being applied: %v", err)
	}
	if _, err := PlanUndo(context.Background(), j, log.Entries[0].ID, UndoOptions{Run: m}); !errors.Is(err, ErrNotUndoable) {
		t.Errorf("undo of what is being applied: %v", err)
	}
	if err := c.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if log, err = j.Log(5); err != nil || !log.Entries[0].Interrupted() || log.Entries[0].Unknown() != 3 {
		t.Fatalf("after it was killed: %+v, %v", log, err)
	}

	m.has["a"], m.has["c"] = tcpvet.Value{Text: "on"}, tcpvet.Value{Text: "other"}
	p, err := PlanUndo(context.Background(), j, "", UndoOptions{Run: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	if got := outcomesOf(p); got != "c refused, b unchanged, a undone" {
		t.Errorf("got %s", got)
	}
	if m.has["a"].Text != "off" || m.has["c"].Text != "other" {
		t.Errorf("left: %v", m.has)
	}
}
