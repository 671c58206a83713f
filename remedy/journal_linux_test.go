package remedy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// journalIn makes a folder for a journal of which all parts are trusted.
func journalIn(t testing.TB) *Journal {
	t.Helper()
	return &Journal{Dir: filepath.Join(t.TempDir(), "journal")}
}

func TestJournalModes(t *testing.T) {
	j := journalIn(t)
	old := unix.Umask(0)
	defer unix.Umask(old)
	if log, err := j.Log(5); err != nil || len(log.Entries) != 0 {
		t.Fatalf("before there is one: %+v, %v", log, err)
	}
	if err := j.add(context.Background(), []byte("{}\n"), true); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{j.Dir: 0o700, filepath.Join(j.Dir, journalFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if _, err := j.Log(0); err == nil {
		t.Error("no entries at all can be asked for")
	}
}

const (
	writers = 4
	eachSet = 300
)

// writeMuch writes sets one after the other, as another tcpvet.
func writeMuch() error {
	j := &Journal{Dir: os.Getenv("JOURNAL_DIR")}
	for range 5 {
		p := &tcpvet.Plan{Kind: tcpvet.RunPlan, Changes: make([]tcpvet.Change, eachSet)}
		places := make([]int, eachSet)
		for i := range places {
			p.Changes[i].Target.Run, places[i] = strings.Repeat("r", 1+i), i
		}
		s, err := j.begin(context.Background(), p, places)
		if err != nil {
			return err
		}
		for i := range places {
			s.tell(outcomeOfOne{N: i, Outcome: "applied"})
		}
		if err := s.end(nil); err != nil {
			return err
		}
	}
	return nil
}

// Sets that are written at the same time by several processes do not damage each
// other.
func TestJournalSharedByProcesses(t *testing.T) {
	j := journalIn(t)
	var all []*exec.Cmd
	for range writers {
		c := kerneltest.Part("journal-writer")
		c.Env = append(c.Env, "JOURNAL_DIR="+j.Dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	log, err := j.Log(100)
	if err != nil || log.Damage.Lines != 0 || len(log.Entries) != 5*writers {
		t.Fatalf("%d entries, damage %+v, %v", len(log.Entries), log.Damage, err)
	}
	for _, e := range log.Entries {
		if e.Total != eachSet || e.Tally[tcpvet.OutcomeApplied] != eachSet || !e.Ended {
			t.Errorf("%+v", e)
		}
	}
}

// A torn line of another writer stays one line, and the next one begins anew.
func TestJournalAfterTornLine(t *testing.T) {
	j := journalIn(t)
	ctx := context.Background()
	if err := j.add(ctx, []byte(`{"begin":{"id":"x`), false); err != nil {
		t.Fatal(err)
	}
	if err := j.add(ctx, written(t, "x-1", "", samples()), true); err != nil {
		t.Fatal(err)
	}
	log, err := j.Log(5)
	if err != nil || len(log.Entries) != 1 || !log.Entries[0].Recorded || log.Damage.Lines != 1 || log.Damage.First != 1 || log.Damage.Torn {
		t.Errorf("%+v, %v", log, err)
	}
}

// One who holds the journal for long does not keep another one for ever.
func TestJournalLocked(t *testing.T) {
	j := journalIn(t)
	f, err := j.open(true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(context.Background(), f, lockPatience); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := j.add(ctx, []byte("{}\n"), false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("it was written all the same: %v, %v", info.Size(), err)
	}
}

func TestJournalWho(t *testing.T) {
	t.Setenv("SUDO_USER", "ada\x1b[31m")
	t.Setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
	w := me()
	if w.UID != uint32(os.Getuid()) || w.User != "ada[31m" || w.From != "192.0.2.7" || w.Process.PID != int32(os.Getpid()) || !w.running() {
		t.Errorf("%+v", w)
	}
	w.Process.Start++ // the PID stands for another process by now
	if w.running() {
		t.Error("a process that was started at another time counts as running")
	}
	t.Setenv("SUDO_USER", "")
	t.Setenv("SSH_CONNECTION", "$(reboot)")
	if w := me(); w.From != "" {
		t.Errorf("%+v", w)
	}
}
