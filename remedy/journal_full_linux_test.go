package remedy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

type fullFound struct {
	Full       string // the error where the disk is full from the start
	FullIs     bool   // it is a JournalError of ENOSPC
	Applied    int    // what was changed then
	Size       int64  // of the journal, by which it grew
	Between    string // the error where it becomes full in between
	BetweenIs  bool   // it is an OutcomeError of ENOSPC
	Told       int    // outcomes that the plan has all the same
	Unknown    int    // by the journal
	Damage     string
	NoUndo     string // the error of undo before there is room
	Undone     int    // once there is room
	StillThere int    // of what was set
}

// fill takes all the room that is left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			if errors.Is(err, unix.ENOSPC) {
				return nil
			}
			return err
		}
	}
}

// applyOnFullDisk runs in a mount namespace of its own, and has a small disk.
func applyOnFullDisk() error {
	dir := os.Getenv("JOURNAL_DIR")
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=700"); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	ctx := context.Background()
	j, filler, file := &Journal{Dir: filepath.Join(dir, "journal")}, filepath.Join(dir, "filler"), filepath.Join(dir, "journal", journalFile)
	const many = 500 // their outcomes take several pages
	var names []string
	for i := range many {
		names = append(names, fmt.Sprint("r", i))
	}
	var got fullFound

	// One set is there already, so that the last page has some room.
	m := newMemory(names...)
	if err := (&Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs("r0")}, By: m}).Apply(ctx, j); err != nil {
		return err
	}
	m.has["r0"] = tcpvet.Value{Text: "off"}
	m.applied = nil
	before, err := os.Stat(file)
	if err != nil {
		return err
	}
	if err := fill(filler); err != nil {
		return err
	}
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: runs(names...)}, By: m}
	err = p.Apply(ctx, j)
	_, is := errors.AsType[*JournalError](err)
	got.Full, got.FullIs, got.Applied = fmt.Sprint(err), is && errors.Is(err, unix.ENOSPC), len(m.applied)
	after, err := os.Stat(file)
	if err != nil {
		return err
	}
	got.Size = after.Size() - before.Size()

	if err := os.Remove(filler); err != nil {
		return err
	}
	failed := error(nil)
	m.before = func() { failed = fill(filler) }
	err = p.Apply(ctx, j)
	if failed != nil {
		return failed
	}
	_, is = errors.AsType[*OutcomeError](err)
	got.Between, got.BetweenIs, got.Told = fmt.Sprint(err), is && errors.Is(err, unix.ENOSPC), p.Tally()[tcpvet.OutcomeApplied]
	m.before = nil
	log, err := j.Log(1)
	if err != nil {
		return err
	}
	got.Unknown, got.Damage = log.Entries[0].Unknown(), log.Damage.String()

	u, err := PlanUndo(ctx, j, p.ID, UndoOptions{Run: m})
	if err != nil {
		return err
	}
	got.NoUndo = fmt.Sprint(u.Apply(ctx, j))
	if err := os.Remove(filler); err != nil {
		return err
	}
	if u, err = PlanUndo(ctx, j, p.ID, UndoOptions{Run: m}); err != nil {
		return err
	}
	if err := u.Apply(ctx, j); err != nil {
		return err
	}
	got.Undone = u.Tally()[tcpvet.OutcomeUndone]
	for _, v := range m.has {
		if v.Text == "on" {
			got.StillThere++
		}
	}
	return kerneltest.Say(got)
}

// On a full disk nothing is changed. Where it becomes full in between, the outcomes
// are told, and undo works.
func TestRootJournalFullDisk(t *testing.T) {
	kerneltest.Root(t)
	var got fullFound
	kerneltest.Play(t, "journal-full", &got, func(c *exec.Cmd) {
		c.Env = append(c.Env, "JOURNAL_DIR="+t.TempDir())
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // the mount ends with it
	})
	const many = 500
	if !got.FullIs || got.Applied != 0 || got.Size != 0 || !strings.Contains(got.Full, "make room in") || !strings.HasSuffix(got.Full, "nothing was changed") {
		t.Errorf("full from the start: %+v", got)
	}
	if !got.BetweenIs || got.Told != many || got.Unknown == 0 || got.Damage != "" {
		t.Errorf("full in between: %+v", got)
	}
	// What is undone is in this journal alone.
	const elsewhere = "or copy journal.jsonl to another folder and name that with --journal"
	if !strings.Contains(got.NoUndo, elsewhere) || !strings.Contains(got.Between, elsewhere) || strings.Contains(got.Full, elsewhere) {
		t.Errorf("what to do: %+v", got)
	}
	if got.Undone != many || got.StillThere != 0 {
		t.Errorf("undone: %+v", got)
	}
}
