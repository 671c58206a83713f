package remedy

import (
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// DefaultDir is where the journal is when no folder is named.
const DefaultDir = "/var/lib/tcpvet"

// journalFile is the journal's name in its folder.
const journalFile = "journal.jsonl"

// Journal is what was planned, what was there before, and what became of it: lines
// of JSON, to which lines are added alone. Several processes may use one at a time.
// The folder and the file are its owner's alone.
type Journal struct {
	Dir string // "" for DefaultDir

	holds bool // what belongs to that which is to be written: it cannot be written elsewhere
}

// holding gives the journal as one that holds the beginning of what is to be written.
func (j *Journal) holding() *Journal { return &Journal{Dir: j.Dir, holds: true} }

func (j *Journal) dir() string {
	if j.Dir == "" {
		return DefaultDir
	}
	return j.Dir
}

// Who is who had a plan applied.
type Who struct {
	UID     uint32
	User    string // who logged in, where that is known: sudo(8) or the audit login UID tell; else the name of UID
	TTY     string // "pts/3", "" for none
	From    string // the address from which ssh came, "" for none
	Process tcpvet.Process
}

// Entry is one set of changes in the journal.
type Entry struct {
	ID      string
	At      time.Time
	Who     Who
	Kind    tcpvet.PlanKind
	Risk    tcpvet.Risk
	Undoes  string   // the ID of what it undoes, "" for none
	Undone  []string // the IDs of what undid it, wholly or in part
	Summary string

	// Recorded tells that the values from before were all written down. Where
	// they were not, nothing was changed.
	Recorded bool
	Total    int                    // changes that were written down
	Tally    map[tcpvet.Outcome]int // how many had which outcome
	Ended    bool                   // its end was written down
	Err      string                 // why it ended early, "" where it did not
	Running  bool                   // the process that applies it still does so
	SameBoot bool                   // the machine has not been started anew since
}

// Unknown is the number of changes that may or may not have been applied: the
// process ended before it could say.
func (e *Entry) Unknown() int {
	n := e.Total
	for _, told := range e.Tally {
		n -= told
	}
	if !e.Recorded || e.Ended || n < 0 {
		return 0 // what was not tried when it ended was not applied
	}
	return n
}

// Undoable tells whether fix undo may mean this one where it is given no ID: it changed
// something that can be put back, and nothing has put it back yet.
func (e *Entry) Undoable() bool {
	done := e.Tally[tcpvet.OutcomeApplied] + e.Tally[tcpvet.OutcomeFailed] + e.Unknown()
	return e.Undoes == "" && e.Kind != tcpvet.ClosePlan && e.Recorded && !e.Running && len(e.Undone) == 0 && done > 0
}

// Interrupted tells that there are changes of which it is not known whether they
// were applied, and that nobody is applying them now.
func (e *Entry) Interrupted() bool { return !e.Running && e.Unknown() > 0 }

// Log is what a journal holds.
type Log struct {
	Entries []Entry // the newest last
	Older   int     // entries that were left out, older than those
	Damage  Damage
}

// Damage is what could not be read of a journal.
type Damage struct {
	Lines int // that could not be read, and were passed over
	First int // the first of them, counted from 1
	Torn  bool
	Err   error // what is wrong with the first
}

func (d *Damage) add(line int, err error) {
	if d.Lines++; d.Lines == 1 {
		d.First, d.Err = line, err
	}
}

// String says it in a sentence, "" where nothing is damaged.
func (d *Damage) String() string {
	switch {
	case d.Lines == 0:
		return ""
	case d.Lines == 1 && d.Torn:
		return fmt.Sprintf("the last line of the journal (%d) is torn and was passed over: its writer was ended, or the disk was full", d.First)
	case d.Lines == 1:
		return fmt.Sprintf("line %d of the journal was passed over: %v", d.First, d.Err)
	}
	return fmt.Sprintf("%d lines of the journal were passed over, the first is line %d: %v", d.Lines, d.First, d.Err)
}

// after gives the sentence as it follows on another one: what was looked for may stand
// where nothing could be read.
func (d *Damage) after() string {
	if text := d.String(); text != "" {
		return "; " + text
	}
	return ""
}

// What a journal cannot give.
var (
	ErrNoEntry   = errors.New("the journal has no such entry")
	ErrNothing   = errors.New("the journal has nothing")
	ErrAmbiguous = errors.New("more than one entry begins so")
)

// JournalError says that the journal could not be used before anything was
// changed: nothing was changed.
type JournalError struct {
	Err error
	ID  string // of the set that more was to be added to, "" for a new one
}

func (e *JournalError) Error() string {
	if e.ID != "" {
		return fmt.Sprintf("%v; nothing more was changed than %s has", e.Err, e.ID)
	}
	return e.Err.Error() + "; nothing was changed"
}

// Unwrap gives the cause.
func (e *JournalError) Unwrap() error { return e.Err }

// OutcomeError says that outcomes could not be written down. The plan has them; in
// the journal the changes count as interrupted, and can be undone all the same.
type OutcomeError struct {
	ID  string
	Err error
}

func (e *OutcomeError) Error() string {
	return fmt.Sprintf("%v; the outcomes of %s are told here alone, and fix undo %s reads what is there", e.Err, e.ID, e.ID)
}

// Unwrap gives the cause.
func (e *OutcomeError) Unwrap() error { return e.Err }
