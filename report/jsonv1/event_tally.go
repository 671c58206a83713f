package jsonv1

import (
	"time"

	"github.com/tcpvet/tcpvet"
)

// EventTallySchema names the lines of trace --summary.
const EventTallySchema = "tcpvet/tally/v1"

// EventTally is a line of tcpvet/tally/v1.
type EventTally struct {
	Schema  string            `json:"schema"`
	At      *string           `json:"at"`
	Seconds Float             `json:"seconds"`
	Total   bool              `json:"total"` // of all the time, not of one stretch of it
	Opened  OpenedTally       `json:"opened"`
	Failed  map[string]uint64 `json:"failed"`
	Closed  ClosedTally       `json:"closed"`
	Changes []ChangeTally     `json:"changes"`
	Missed  uint64            `json:"missed"` // changes that are in none of these
}

// OpenedTally counts what opened.
type OpenedTally struct {
	Connected uint64 `json:"connected"`
	Accepted  uint64 `json:"accepted"`
}

// ClosedTally counts what closed, twice.
type ClosedTally struct {
	How   map[string]uint64 `json:"how"`
	First map[string]uint64 `json:"first"`
}

// ChangeTally counts one change of state.
type ChangeTally struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Count uint64 `json:"count"`
}

// EventTallyOf gives the line of what came in a time that ended at.
func EventTallyOf(at time.Time, in time.Duration, total bool, c *tcpvet.EventCounts) EventTally {
	out := EventTally{
		Schema: EventTallySchema, At: Time(at), Seconds: Float(in.Seconds()), Total: total,
		Opened: OpenedTally{c.Connected(), c.Accepted()}, Failed: make(map[string]uint64),
		Closed: ClosedTally{make(map[string]uint64), make(map[string]uint64)}, Changes: []ChangeTally{}, Missed: c.Missed,
	}
	for kind, n := range c.Failed {
		out.Failed[tcpvet.FailureKind(kind).String()] = n
	}
	for how := range c.Closed {
		out.Closed.How[orUnknown(tcpvet.CloseHow(how).String())] = c.ClosedHow(tcpvet.CloseHow(how))
	}
	for first := range tcpvet.NumClosers {
		out.Closed.First[orUnknown(tcpvet.Closer(first).String())] = c.ClosedBy(tcpvet.Closer(first))
	}
	for from := range c.Changes {
		for to, n := range c.Changes[from] {
			if n > 0 {
				out.Changes = append(out.Changes, ChangeTally{tcpvet.State(from).String(), tcpvet.State(to).String(), n})
			}
		}
	}
	return out
}

func orUnknown(word string) string {
	if word == "" {
		return "unknown"
	}
	return word
}
