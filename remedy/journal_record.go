package remedy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// journalSchema is that of the lines that begin a set of changes.
const journalSchema = "tcpvet/journal/v1"

// record is one line of a journal: one of its fields is set. A set begins, its
// changes follow, and once all are written down it is recorded; then come outcomes,
// in no order, and its end. Those of several sets may be mixed.
type record struct {
	Begin    *beginRecord    `json:"begin,omitempty"`
	Change   *changeRecord   `json:"change,omitempty"`
	Recorded *recordedRecord `json:"recorded,omitempty"`
	Outcome  *outcomeRecord  `json:"outcome,omitempty"`
	End      *endRecord      `json:"end,omitempty"`
}

type beginRecord struct {
	Schema  string    `json:"schema"`
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Boot    string    `json:"boot"`
	Kind    string    `json:"kind"`
	Risk    uint8     `json:"risk"`
	Undoes  string    `json:"undoes,omitempty"`
	Summary string    `json:"summary"`
	Who     whoRecord `json:"who"`
}

type whoRecord struct {
	UID   uint32 `json:"uid"`
	User  string `json:"user,omitempty"`
	TTY   string `json:"tty,omitempty"`
	From  string `json:"from,omitempty"`
	PID   int32  `json:"pid"`
	Start uint64 `json:"start"`
}

type changeRecord struct {
	ID     string       `json:"id"`
	N      int          `json:"n"`
	Target targetRecord `json:"target"`
	Before valueRecord  `json:"before"`
	After  valueRecord  `json:"after"`
}

type targetRecord struct {
	Netns   uint64         `json:"netns,omitempty"`
	Cookie  uint64         `json:"cookie,omitempty"`
	Inode   uint64         `json:"inode,omitempty"`
	State   string         `json:"state,omitempty"`
	Role    uint8          `json:"role,omitempty"`
	Local   netip.AddrPort `json:"local,omitzero"`
	Remote  netip.AddrPort `json:"remote,omitzero"`
	PID     int32          `json:"pid,omitempty"`
	Start   uint64         `json:"start,omitempty"`
	Comm    string         `json:"comm,omitempty"`
	Setting string         `json:"setting,omitempty"`
	File    string         `json:"file,omitempty"`
	Run     string         `json:"run,omitempty"`
}

type valueRecord struct {
	Timers *timersRecord `json:"timers,omitempty"`
	State  string        `json:"state,omitempty"`
	Text   string        `json:"text,omitempty"`
	Absent bool          `json:"absent,omitempty"`
}

type timersRecord struct {
	Keepalive     bool  `json:"keepalive"`
	IdleS         int64 `json:"idle_s"`
	IntervalS     int64 `json:"interval_s"`
	Count         int   `json:"count"`
	UserTimeoutMS int64 `json:"user_timeout_ms"`
}

type recordedRecord struct {
	ID      string `json:"id"`
	Changes int    `json:"changes"` // of the set, up to here
}

type outcomeRecord struct {
	ID string         `json:"id"`
	Of []outcomeOfOne `json:"of"`
}

type outcomeOfOne struct {
	N       int          `json:"n"`
	Outcome string       `json:"outcome"`
	Reason  string       `json:"reason,omitempty"`
	After   *valueRecord `json:"after,omitempty"` // where the kernel made another value of it
}

type endRecord struct {
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"`
}

func appendRecord(b []byte, r record) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return b, fmt.Errorf("write journal: %w", err)
	}
	if len(line) >= maxLine {
		return b, fmt.Errorf("write journal: a line of %d bytes; the longest is %d", len(line), maxLine-1)
	}
	return append(append(b, line...), '\n'), nil
}

// parseRecord reads one line.
func parseRecord(line []byte) (record, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("parse line: %w", err)
	}
	var ids []string
	if b := r.Begin; b != nil {
		ids = append(ids, b.ID)
		if b.Schema != journalSchema {
			return r, fmt.Errorf("parse line: schema %.40q, expected %s: a newer tcpvet may have written it", b.Schema, journalSchema)
		}
		if _, err := tcpvet.ParsePlanKind(b.Kind); err != nil {
			return r, err
		}
	}
	if r.Change != nil {
		ids = append(ids, r.Change.ID)
		if _, err := r.Change.change(); err != nil {
			return r, err
		}
	}
	if r.Recorded != nil {
		ids = append(ids, r.Recorded.ID)
	}
	if o := r.Outcome; o != nil {
		ids = append(ids, o.ID)
		for _, one := range o.Of {
			if _, err := tcpvet.ParseOutcome(one.Outcome); err != nil {
				return r, err
			}
			if one.After != nil {
				if _, err := one.After.value(); err != nil {
					return r, err
				}
			}
		}
	}
	if r.End != nil {
		ids = append(ids, r.End.ID)
	}
	if len(ids) != 1 {
		return r, fmt.Errorf("parse line: expected one of begin, change, recorded, outcome and end, got %d", len(ids))
	}
	if !isID(ids[0]) {
		return r, fmt.Errorf("parse line: %.40q is no ID", ids[0])
	}
	return r, nil
}

// isID tells whether s can be the ID of a set: these stand in commands.
func isID(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

func recordOf(id string, n int, c *tcpvet.Change) *changeRecord {
	t := &c.Target
	r := &changeRecord{ID: id, N: n, Before: valueRecordOf(c.Before), After: valueRecordOf(c.After), Target: targetRecord{
		Netns: uint64(t.Netns), Cookie: t.Cookie, Inode: t.Inode, Role: uint8(t.Role), Local: t.Local, Remote: t.Remote,
		PID: t.Holder.PID, Start: t.Holder.Start, Comm: t.Comm, Setting: t.Setting, File: t.File, Run: t.Run,
	}}
	if t.State != 0 {
		r.Target.State = t.State.String()
	}
	return r
}

func valueRecordOf(v tcpvet.Value) valueRecord {
	r := valueRecord{Text: v.Text, Absent: v.Absent}
	if v.State != 0 {
		r.State = v.State.String()
	}
	if t := v.Timers; t != (tcpvet.Timers{}) {
		r.Timers = &timersRecord{t.Keepalive, int64(t.Idle / time.Second), int64(t.Interval / time.Second), t.Count, t.UserTimeout.Milliseconds()}
	}
	return r
}

func (r *changeRecord) change() (c tcpvet.Change, err error) {
	t := &r.Target
	c.Target = tcpvet.Target{
		Netns: tcpvet.NetnsID(t.Netns), Cookie: t.Cookie, Inode: t.Inode, Role: tcpvet.Role(t.Role), Local: t.Local, Remote: t.Remote,
		Holder: tcpvet.Process{PID: t.PID, Start: t.Start}, Comm: t.Comm, Setting: t.Setting, File: t.File, Run: t.Run,
	}
	if r.N < 0 || r.N >= maxChanges {
		return c, fmt.Errorf("parse line: change %d of a set, expected 0 to %d", r.N, maxChanges-1)
	}
	if t.State != "" {
		if c.Target.State, err = tcpvet.ParseState(t.State); err != nil {
			return c, err
		}
	}
	if c.Before, err = r.Before.value(); err != nil {
		return c, err
	}
	c.After, err = r.After.value()
	return c, err
}

func (r *valueRecord) value() (v tcpvet.Value, err error) {
	v = tcpvet.Value{Text: r.Text, Absent: r.Absent}
	if r.State != "" {
		if v.State, err = tcpvet.ParseState(r.State); err != nil {
			return v, err
		}
	}
	if t := r.Timers; t != nil {
		// An option takes no more than an int of C.
		const most = 1<<31 - 1
		if t.IdleS < 0 || t.IdleS > most || t.IntervalS < 0 || t.IntervalS > most || t.Count < 0 || t.Count > most || t.UserTimeoutMS < 0 || t.UserTimeoutMS > 1<<32-1 {
			return v, errors.New("parse line: timers are out of range")
		}
		v.Timers = tcpvet.Timers{
			Keepalive: t.Keepalive, Idle: time.Duration(t.IdleS) * time.Second, Interval: time.Duration(t.IntervalS) * time.Second,
			Count: t.Count, UserTimeout: time.Duration(t.UserTimeoutMS) * time.Millisecond,
		}
	}
	return v, nil
}
