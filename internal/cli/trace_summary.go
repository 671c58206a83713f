package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/trace"
	"github.com/tcpvet/tcpvet/vet"
)

// tallier prints counts.
type tallier interface {
	// add prints what came in a time that ended at; total tells that it is all.
	add(at time.Time, in time.Duration, total bool, c *tcpvet.EventCounts) error
}

// count prints counts alone: of each interval where there is one, and of all the time
// at its end.
func (t *tracing) count(asked context.Context) error {
	namespaces, err := t.inside()
	if err != nil {
		return err
	}
	counter, err := trace.OpenCounter(namespaces)
	if err != nil {
		return untraceable(err)
	}
	defer counter.Close()
	end := t.remember()
	defer end()
	until, cancel := t.until(asked)
	defer cancel()
	t.tellBegin()
	out, err := t.tallier(newAbandoning(asked, t.stdio.Out))
	if err != nil {
		return err
	}
	began := time.Now()
	before, err := counter.Counts()
	if err != nil {
		return &exit{statusBlind, err}
	}
	first, last := before, began
	var tick <-chan time.Time
	if t.interval > 0 {
		ticker := time.NewTicker(t.interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for over := false; !over; {
		select {
		case <-tick:
		case <-until.Done():
			over = true
		}
		at := time.Now()
		now, err := counter.Counts()
		if err != nil {
			return &exit{statusBlind, err}
		}
		since, in, total := now.Since(&before), at.Sub(last), false
		if over {
			since, in, total = now.Since(&first), at.Sub(began), true
		}
		if err := out.add(at, in, total, &since); err != nil {
			return err
		}
		if over && since.Missed > 0 {
			fmt.Fprintf(t.stdio.Err, "not counted: %s, which came while the kernel was busy with another\n", vet.Counted(since.Missed, "change"))
		}
		before, last = now, at
	}
	return nil
}

func (t *tracing) tallier(w io.Writer) (tallier, error) {
	zone := time.Local
	if t.utc {
		zone = time.UTC
	}
	switch t.out.format {
	case "json", "jsonl":
		return tallyLines{w, zone}, nil
	case "csv":
		l := tallyCSV{csv.NewWriter(w), zone}
		return l, l.head()
	}
	list := report.NewEventTallies(w, zone)
	list.Head()
	return tallyTable{list}, nil
}

type tallyTable struct{ list *report.EventTallies }

func (l tallyTable) add(at time.Time, in time.Duration, total bool, c *tcpvet.EventCounts) error {
	if total {
		return l.list.Total(in, c)
	}
	return l.list.Add(at, c)
}

type tallyLines struct {
	out  io.Writer
	zone *time.Location
}

func (l tallyLines) add(at time.Time, in time.Duration, total bool, c *tcpvet.EventCounts) error {
	return line(l.out, jsonv1.EventTallyOf(at.In(l.zone), in, total, c))
}

type tallyCSV struct {
	out  *csv.Writer
	zone *time.Location
}

func (l tallyCSV) head() error {
	titles := []string{"at", "seconds", "total", "connected", "accepted"}
	for kind := range tcpvet.FailureKind(tcpvet.NumFailures) {
		titles = append(titles, "failed_"+kind.String())
	}
	return l.out.Write(append(titles, "fin", "rst", "timeout", "local_first", "remote_first", "both_first"))
}

func (l tallyCSV) add(at time.Time, in time.Duration, total bool, c *tcpvet.EventCounts) error {
	row := []string{at.In(l.zone).Format(time.RFC3339Nano), strconv.FormatFloat(in.Seconds(), 'f', 3, 64), strconv.FormatBool(total)}
	counts := append([]uint64{c.Connected(), c.Accepted()}, c.Failed[:]...)
	counts = append(counts, c.ClosedHow(tcpvet.HowFIN), c.ClosedHow(tcpvet.HowRST), c.ClosedHow(tcpvet.HowTimeout),
		c.ClosedBy(tcpvet.CloserLocal), c.ClosedBy(tcpvet.CloserRemote), c.ClosedBy(tcpvet.CloserBoth))
	for _, n := range counts {
		row = append(row, strconv.FormatUint(n, 10))
	}
	if err := l.out.Write(row); err != nil {
		return err
	}
	l.out.Flush()
	return l.out.Error()
}
