package remedy

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
)

const (
	maxLine    = 1 << 20 // bytes; a list of reserved ports takes up to 256 KB, twice
	maxChanges = 1 << 20 // of one set
)

// errLong says why a line was passed over.
var errLong = fmt.Errorf("parse line: longer than %d bytes", maxLine)

// changePrefix begins the lines that are of no use but to undo: most of a journal.
var changePrefix = []byte(`{"change":`)

// scan hands over the records of a journal in order. It reads in bounded memory,
// and passes over what it cannot read. Lines of changes are handed over where
// wanted alone.
func scan(r io.Reader, changes bool, yield func(*record)) (Damage, error) {
	var d Damage
	in := bufio.NewReaderSize(r, 64<<10)
	var long []byte
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long = long[:0]
			cut := false
			for err == bufio.ErrBufferFull {
				if cut = cut || len(long)+len(line) > maxLine; !cut {
					long = append(long, line...)
				}
				line, err = in.ReadSlice('\n')
			}
			if cut || len(long)+len(line) > maxLine {
				d.add(n, errLong)
				line = nil
			} else {
				long = append(long, line...)
				line = long
			}
		}
		if err != nil && err != io.EOF {
			return d, fmt.Errorf("read journal: %w", err)
		}
		if len(bytes.TrimSpace(line)) > 0 && (changes || !bytes.HasPrefix(line, changePrefix)) {
			rec, e := parseRecord(line)
			switch {
			case e != nil:
				d.add(n, e)
				d.Torn = err == io.EOF
			case err == io.EOF:
				// It says all, yet its end was not written: what was to
				// follow in the same write was not either.
				d.add(n, errors.New("parse line: its end is missing"))
				d.Torn = true
			default:
				yield(&rec)
			}
		}
		if err == io.EOF {
			return d, nil
		}
	}
}

// readLog folds a journal into the newest entries that keep names, at most so many.
func readLog(r io.Reader, most int, boot string, keep func(*beginRecord) bool) (*Log, error) {
	var order []*Entry
	byID := make(map[string]*Entry)
	log := &Log{}
	damage, err := scan(r, false, func(rec *record) {
		switch {
		case rec.Begin != nil:
			b := rec.Begin
			if byID[b.ID] != nil || keep != nil && !keep(b) {
				return
			}
			if len(order) == most {
				delete(byID, order[0].ID)
				order = slices.Delete(order, 0, 1)
				log.Older++
			}
			e := b.entry(boot)
			order, byID[b.ID] = append(order, e), e
		case rec.Recorded != nil:
			if e := byID[rec.Recorded.ID]; e != nil {
				e.Recorded, e.Total = true, min(max(rec.Recorded.Changes, e.Total), maxChanges)
				e.Ended = false // a plan may be extended
			}
		case rec.Outcome != nil:
			if e := byID[rec.Outcome.ID]; e != nil {
				for _, one := range rec.Outcome.Of {
					e.Tally[tcpvet.Outcome(one.Outcome)]++
				}
			}
		case rec.End != nil:
			if e := byID[rec.End.ID]; e != nil {
				e.Ended, e.Err = true, rec.End.Error
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, e := range order {
		if of := byID[e.Undoes]; of != nil && e.Tally[tcpvet.OutcomeUndone] > 0 {
			of.Undone = append(of.Undone, e.ID)
		}
	}
	for _, e := range order {
		log.Entries = append(log.Entries, *e)
	}
	log.Damage = damage
	return log, nil
}

func (b *beginRecord) entry(boot string) *Entry {
	kind, _ := tcpvet.ParsePlanKind(b.Kind) // parseRecord looked
	return &Entry{
		ID: b.ID, At: b.At, Kind: kind, Risk: tcpvet.Risk(b.Risk), Undoes: b.Undoes, Summary: b.Summary,
		Who:   Who{b.Who.UID, b.Who.User, b.Who.TTY, b.Who.From, tcpvet.Process{PID: b.Who.PID, Start: b.Who.Start}},
		Tally: make(map[tcpvet.Outcome]int), SameBoot: b.Boot == boot,
	}
}

// readChanges gives the changes of a set that were recorded, with their outcomes,
// and how many could not be read.
func readChanges(r io.Reader, id string) (changes []tcpvet.Change, missing int, err error) {
	at := make(map[int]int) // places in read, by number
	var read []numbered
	total := 0
	_, err = scan(r, true, func(rec *record) {
		switch {
		case rec.Change != nil && rec.Change.ID == id:
			c, _ := rec.Change.change() // parseRecord looked
			if _, twice := at[rec.Change.N]; !twice {
				at[rec.Change.N] = len(read)
				read = append(read, numbered{rec.Change.N, c})
			}
		case rec.Recorded != nil && rec.Recorded.ID == id:
			total = min(max(total, rec.Recorded.Changes), maxChanges)
		case rec.Outcome != nil && rec.Outcome.ID == id:
			for _, one := range rec.Outcome.Of {
				i, ok := at[one.N]
				if !ok {
					continue
				}
				c := &read[i].change
				c.Outcome, c.Reason = tcpvet.Outcome(one.Outcome), one.Reason
				if one.After != nil {
					c.After, _ = one.After.value() // parseRecord looked
				}
			}
		}
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(read, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	for _, r := range read {
		if r.n < total { // what was never recorded was not acted upon
			changes = append(changes, r.change)
		}
	}
	return changes, total - len(changes), nil
}

// numbered is a change and its number in its set.
type numbered struct {
	n      int
	change tcpvet.Change
}

// pick finds the entry that an ID, or the beginning of one, means among those of log.
func pick(log *Log, id string) (*Entry, error) {
	var found []*Entry
	for i := range log.Entries {
		e := &log.Entries[i]
		if e.ID == id {
			return e, nil
		}
		if strings.HasPrefix(e.ID, id) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("find %.40q: %w: see tcpvet fix log%s", id, ErrNoEntry, log.Damage.after())
	case 1:
		return found[0], nil
	}
	const shown = 5
	var names []string
	for _, e := range found[:min(shown, len(found))] {
		names = append(names, e.ID)
	}
	return nil, fmt.Errorf("find %.40q: %w: %s", id, ErrAmbiguous, strings.Join(names, ", "))
}
