package cli

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// eventShower prints events as they come.
type eventShower interface {
	Event(*tcpvet.Event) error
	Flush() error
}

// shower gives what prints to w in the format that was asked for.
func (t *tracing) shower(w io.Writer, names *namespaceNames) (eventShower, error) {
	zone := time.Local
	if t.utc {
		zone = time.UTC
	}
	switch t.out.format {
	case "json", "jsonl":
		return &eventLines{out: bufio.NewWriterSize(w, 1<<16), lookup: jsonv1.Lookup{Netns: names.of}, zone: zone}, nil
	case "csv":
		list := report.NewEventCSV(w)
		return list, list.Head()
	}
	list := report.NewEvents(w, report.EventOptions{Wide: t.out.format == "wide", Color: t.out.colored(t.stdio.Out), Zone: zone, Netns: names.of})
	list.Head()
	return list, nil
}

// eventLines prints events as JSON Lines.
type eventLines struct {
	out    *bufio.Writer
	lookup jsonv1.Lookup
	zone   *time.Location
	line   []byte
}

func (l *eventLines) Event(e *tcpvet.Event) error {
	l.line = append(l.lookup.AppendEvent(l.line[:0], e), '\n')
	_, err := l.out.Write(l.line)
	return err
}

func (l *eventLines) Flush() error { return l.out.Flush() }

// namespaceNames knows the names of namespaces, as of when they were last needed.
// It may be used from several goroutines.
type namespaceNames struct {
	mu    sync.Mutex
	known map[tcpvet.NetnsID]tcpvet.Netns
	asked time.Time
}

// askEvery is how often at most namespaces are looked for again: that reads a file
// of every process.
const askEvery = 10 * time.Second

func (n *namespaceNames) of(id tcpvet.NetnsID) (tcpvet.Netns, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ns, ok := n.known[id]; ok || id == 0 {
		return ns, ok
	}
	if !n.asked.IsZero() && time.Since(n.asked) < askEvery {
		return tcpvet.Netns{ID: id}, false
	}
	n.asked = time.Now()
	found, _, err := netns.Find(netns.Options{})
	if err != nil {
		return tcpvet.Netns{ID: id}, false
	}
	n.known = make(map[tcpvet.NetnsID]tcpvet.Netns, len(found))
	for _, f := range found {
		n.known[f.ID] = tcpvet.Netns{ID: f.ID, Names: f.Names}
	}
	ns, ok := n.known[id]
	return ns, ok
}

// traced counts what a trace told.
type traced struct {
	opened, failed, closed, ended, lost uint64
}

func (n *traced) add(e *tcpvet.Event) {
	switch e.Kind {
	case tcpvet.EventOpen:
		n.opened++
	case tcpvet.EventFail:
		n.failed += max(e.Count, 1)
	case tcpvet.EventClose:
		n.closed++
		if e.Took >= 0 { // it was opened while it was followed
			n.ended++
		}
	case tcpvet.EventLost:
		n.lost += max(e.Count, 1)
	}
}

// tell writes the line that ends a trace. How many are still open is not known where
// events were lost.
func (n *traced) tell(w io.Writer, only bool) {
	if only {
		fmt.Fprintf(w, "traced: %s failed", vet.Count(n.failed))
	} else {
		fmt.Fprintf(w, "traced: %s opened, %s failed, %s closed", vet.Count(n.opened), vet.Count(n.failed), vet.Count(n.closed))
	}
	switch {
	case n.lost > 0:
		fmt.Fprintf(w, "; %s lost", vet.Counted(n.lost, "event"))
	case !only && n.opened > 0 && n.opened >= n.ended:
		fmt.Fprintf(w, "; of those opened %s still open", vet.Count(n.opened-n.ended))
	}
	fmt.Fprintln(w)
}
