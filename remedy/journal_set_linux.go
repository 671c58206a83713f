package remedy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/tcpvet/tcpvet"
)

// maxEntries is how many entries are looked through for one to undo.
const maxEntries = 10_000

// Log gives the newest entries, at most so many. A journal that does not exist has
// none.
func (j *Journal) Log(most int) (*Log, error) {
	if most <= 0 {
		return nil, fmt.Errorf("read journal: %d entries are asked for, expected 1 or more", most)
	}
	return j.log(most, nil)
}

func (j *Journal) log(most int, keep func(*beginRecord) bool) (*Log, error) {
	f, err := j.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return &Log{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log, err := readLog(f, most, bootID(), keep)
	if err != nil {
		return nil, err
	}
	for i := range log.Entries {
		if e := &log.Entries[i]; e.SameBoot && !e.Ended {
			// Who asks knows of itself.
			e.Running = e.Who.Process.PID != int32(os.Getpid()) && e.Who.running()
		}
	}
	return log, nil
}

// changes gives what was recorded of a set.
func (j *Journal) changes(id string) (changes []tcpvet.Change, missing int, err error) {
	f, err := j.open(false)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return readChanges(f, id)
}

// set is a set of changes as it is written down.
type set struct {
	journal  *Journal
	id       string
	recorded int
	pending  []outcomeOfOne // told, and not written down yet
	failed   error          // why they could not be
}

// newID makes the ID of a set: when, in UTC, and four random letters.
func newID(now time.Time) string {
	const letters = "bcdfghjkmnpqrstvwxz23456789"
	var b [4]byte
	rand.Read(b[:]) // it never fails
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return now.UTC().Format("20060102-150405-") + string(b[:])
}

// begin writes down a plan whose changes are about to be applied, and gives it its
// ID. places are those of the changes.
func (j *Journal) begin(ctx context.Context, p *tcpvet.Plan, places []int) (*set, error) {
	now := time.Now()
	s := &set{journal: j, id: newID(now)}
	who := me()
	lines, err := appendRecord(nil, record{Begin: &beginRecord{
		Schema: journalSchema, ID: s.id, At: now, Boot: bootID(), Kind: p.Kind.String(), Risk: uint8(p.Risk), Undoes: p.Undoes, Summary: p.Summary(),
		Who: whoRecord{who.UID, who.User, who.TTY, who.From, who.Process.PID, who.Process.Start},
	}})
	if err != nil {
		return nil, err
	}
	err = s.record(ctx, lines, p.Changes, places)
	s.journal = j.holding()
	return s, err
}

// record writes down changes, behind lines, and waits until the disk has them.
func (s *set) record(ctx context.Context, lines []byte, changes []tcpvet.Change, places []int) (err error) {
	if s.recorded+len(places) > maxChanges {
		return fmt.Errorf("write journal: more than %d changes in one set: choose fewer, or begin anew", maxChanges)
	}
	for n, i := range places {
		if lines, err = appendRecord(lines, record{Change: recordOf(s.id, s.recorded+n, &changes[i])}); err != nil {
			return err
		}
	}
	lines, err = appendRecord(lines, record{Recorded: &recordedRecord{s.id, s.recorded + len(places)}})
	if err != nil {
		return err
	}
	if err := s.journal.add(ctx, lines, true); err != nil {
		return err
	}
	s.recorded += len(places)
	return nil
}

const (
	batch     = 128 // outcomes are written at once
	maxReason = 300 // bytes are kept of a reason
)

// tell notes the outcome of the nth change.
func (s *set) tell(o outcomeOfOne) {
	s.pending = append(s.pending, o)
	if len(s.pending)%batch == 0 {
		s.flush(false)
	}
}

// flush writes down what was told. What could not be is kept for the next time.
func (s *set) flush(sync bool) {
	if len(s.pending) == 0 {
		return
	}
	var lines []byte
	for from := 0; from < len(s.pending); from += batch {
		var err error
		of := s.pending[from:min(from+batch, len(s.pending))]
		if lines, err = appendRecord(lines, record{Outcome: &outcomeRecord{s.id, of}}); err != nil {
			s.failed = err
			return
		}
	}
	// Not the context of the plan: what was done is written down though it has ended.
	if s.failed = s.journal.add(context.Background(), lines, sync); s.failed == nil {
		s.pending = s.pending[:0]
	}
}

// end writes down that no more is tried.
func (s *set) end(why error) error {
	s.flush(true)
	err := s.failed
	if err == nil {
		text := ""
		if why != nil {
			text = printable(why.Error(), maxReason)
			if errors.Is(why, context.Canceled) {
				text = "interrupted"
			}
		}
		var line []byte
		if line, err = appendRecord(nil, record{End: &endRecord{s.id, time.Now(), text}}); err == nil {
			err = s.journal.add(context.Background(), line, true)
		}
	}
	if err != nil {
		return &OutcomeError{ID: s.id, Err: err}
	}
	return nil
}
