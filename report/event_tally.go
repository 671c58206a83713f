package report

import (
	"io"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// EventTallies writes counts of events, a line for each stretch of time.
type EventTallies struct {
	grid
	zone *time.Location
	buf  []byte
}

// tallyColumns count what a person looks for; Failed is broken down by Breakdown.
var tallyColumns = []struct {
	title string
	of    func(*tcpvet.EventCounts) uint64
}{
	{"Connected", (*tcpvet.EventCounts).Connected},
	{"Accepted", (*tcpvet.EventCounts).Accepted},
	{"Failed", (*tcpvet.EventCounts).Failures},
	{"FIN", func(c *tcpvet.EventCounts) uint64 { return c.ClosedHow(tcpvet.HowFIN) }},
	{"RST", func(c *tcpvet.EventCounts) uint64 { return c.ClosedHow(tcpvet.HowRST) }},
	{"Timeout", func(c *tcpvet.EventCounts) uint64 { return c.ClosedHow(tcpvet.HowTimeout) }},
	{"Local first", func(c *tcpvet.EventCounts) uint64 { return c.ClosedBy(tcpvet.CloserLocal) }},
	{"Remote first", func(c *tcpvet.EventCounts) uint64 { return c.ClosedBy(tcpvet.CloserRemote) }},
	{"Both", func(c *tcpvet.EventCounts) uint64 { return c.ClosedBy(tcpvet.CloserBoth) }},
}

// reasonsColumn stands last and has no width.
const reasonsColumn = "Failed by"

// NewEventTallies writes to w; zone is where times are printed, nil for UTC.
func NewEventTallies(w io.Writer, zone *time.Location) *EventTallies {
	if zone == nil {
		zone = time.UTC
	}
	l := &EventTallies{grid: newGrid(w), zone: zone}
	l.column(10, false)
	for _, c := range tallyColumns {
		l.column(len(c.title), true)
	}
	l.column(0, false)
	return l
}

// Head writes the titles.
func (l *EventTallies) Head() {
	l.put(0, []byte("Time"))
	for i, c := range tallyColumns {
		l.put(i+1, []byte(c.title))
	}
	l.put(len(tallyColumns)+1, []byte(reasonsColumn))
}

// Add writes the line of what came until at.
func (l *EventTallies) Add(at time.Time, c *tcpvet.EventCounts) error {
	l.line(at.In(l.zone).AppendFormat(l.buf[:0], time.TimeOnly), c)
	return l.out.Flush()
}

// Total writes the line of all that came in a time.
func (l *EventTallies) Total(in time.Duration, c *tcpvet.EventCounts) error {
	l.line(append(l.buf[:0], vet.Duration(in)...), c)
	return l.out.Flush()
}

func (l *EventTallies) line(first []byte, c *tcpvet.EventCounts) {
	l.buf = first
	l.put(0, l.buf)
	for i, column := range tallyColumns {
		l.buf = strconv.AppendUint(l.buf[:0], column.of(c), 10)
		l.put(i+1, l.buf)
	}
	l.buf = l.buf[:0]
	for kind, n := range c.Failed {
		if n == 0 {
			continue
		}
		if len(l.buf) > 0 {
			l.buf = append(l.buf, ' ')
		}
		l.buf = append(append(l.buf, tcpvet.FailureKind(kind).String()...), ' ')
		l.buf = strconv.AppendUint(l.buf, n, 10)
	}
	l.put(len(tallyColumns)+1, orDash(l.buf, ""))
}
