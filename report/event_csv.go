package report

import (
	"bufio"
	"io"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
)

// EventCSV writes events as comma-separated values (RFC 4180), each as it comes:
// the words of tcpvet/event/v1, nothing where nothing is known.
type EventCSV struct {
	out *bufio.Writer
	buf []byte
}

// NewEventCSV writes to w. Flush ends it.
func NewEventCSV(w io.Writer) *EventCSV { return &EventCSV{out: bufio.NewWriterSize(w, 1<<16)} }

// eventTitles are in the order of fields.
const eventTitles = "kind,at,netns,cookie,pid,comm,start,process_known_by,container,role,local,remote," +
	"call,errno,cause,syns,from,to,ms,first,how,close_wait_ms,count,stack\n"

// Head writes the titles.
func (l *EventCSV) Head() error {
	_, err := l.out.WriteString(eventTitles)
	return err
}

// Event writes a line. The calls of a stack are separated by semicolons.
func (l *EventCSV) Event(e *tcpvet.Event) error {
	l.buf = appendEventCSV(l.buf[:0], e)
	_, err := l.out.Write(l.buf)
	return err
}

// Flush writes what is buffered.
func (l *EventCSV) Flush() error { return l.out.Flush() }

func appendEventCSV(b []byte, e *tcpvet.Event) []byte {
	b = append(append(b, e.Kind.String()...), ',')
	if !e.At.IsZero() {
		b = e.At.AppendFormat(b, time.RFC3339Nano)
	}
	b = fieldIf(b, e.Netns != 0, uint64(e.Netns))
	b = fieldIf(b, e.Cookie != 0, e.Cookie)
	if p := e.Process; p.Known() {
		b = fieldIf(b, true, uint64(p.PID))
		b = appendField(append(b, ','), e.Comm)
		b = fieldIf(b, true, p.Start)
		b = append(append(append(b, ','), e.KnownBy.String()...), ',')
		if e.Container != nil {
			b = quoteFrom(appendContainer(b, e.Container), len(b))
		}
	} else {
		b = append(b, ",,,,none,"...)
	}
	b = append(append(append(b, ','), e.Role.String()...), ',')
	if e.Local.IsValid() {
		b = e.Local.AppendTo(b)
	}
	if b = append(b, ','); e.Remote.IsValid() {
		b = e.Remote.AppendTo(b)
	}
	fail := e.Kind == tcpvet.EventFail
	if b = append(b, ','); fail {
		b = append(b, e.Call.Name()...)
	}
	b = fieldIf(b, fail && e.Errno != 0, uint64(max(e.Errno, 0)))
	b = append(append(b, ','), e.Cause.String()...)
	b = fieldIf(b, fail && e.SYNs != 0, uint64(e.SYNs))
	for _, s := range [...]tcpvet.State{e.From, e.To} {
		if b = append(b, ','); s != 0 {
			b = append(b, s.String()...)
		}
	}
	if b = append(b, ','); e.Kind != tcpvet.EventLost && e.Took >= 0 {
		b = appendMillis(b, &e.Took)
	}
	b = append(append(b, ','), e.First.String()...)
	b = append(append(append(b, ','), e.How.String()...), ',')
	if e.Kind == tcpvet.EventClose && e.CloseWait > 0 {
		b = appendMillis(b, &e.CloseWait)
	}
	b = fieldIf(b, true, max(e.Count, 1))
	b = append(b, ',')
	b = quoteFrom(appendStack(b, e.Stack, "; "), len(b))
	return append(b, '\n')
}

// fieldIf appends a comma, and a number where it is known.
func fieldIf(b []byte, known bool, n uint64) []byte {
	b = append(b, ',')
	if !known {
		return b
	}
	return strconv.AppendUint(b, n, 10)
}
