package report

import (
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/vet"
)

// EventOptions are the choices for a list of events. Its zero value is the narrow
// list, in UTC.
type EventOptions struct {
	Wide  bool
	Color bool
	Zone  *time.Location // in which times are printed; nil for UTC
	// Netns tells what is known of a namespace; nil for nothing.
	Netns func(tcpvet.NetnsID) (tcpvet.Netns, bool)
}

// Events writes events in columns, each as it comes: what a socket did, whose it is,
// and why. It allocates nothing for an event but where that stands for many.
type Events struct {
	grid
	columns []eventColumn
	o       EventOptions
	buf     []byte
}

type eventColumn struct {
	title string
	width int // at least so many characters
	cell  func(b []byte, e *tcpvet.Event, o *EventOptions) []byte
}

// NewEvents writes to w. Flush ends it.
func NewEvents(w io.Writer, o EventOptions) *Events {
	l := &Events{grid: newGrid(w), columns: narrowEvent, o: o}
	if o.Wide {
		l.columns = wideEvent
	}
	if o.Zone == nil {
		l.o.Zone = time.UTC
	}
	for _, c := range l.columns {
		l.column(c.width, false)
	}
	return l
}

// Head writes the titles.
func (l *Events) Head() {
	for i := range l.columns {
		l.put(i, append(l.buf[:0], l.columns[i].title...))
	}
}

// kindColumn is where the kind of an event stands, in both lists.
const kindColumn = 1

// Event writes a line, and the stack below it.
func (l *Events) Event(e *tcpvet.Event) error {
	for i := range l.columns {
		l.buf = l.columns[i].cell(l.buf[:0], e, &l.o)
		if i == kindColumn && l.o.Color {
			l.code = eventColors[min(int(e.Kind), len(eventColors)-1)]
		}
		l.put(i, l.buf)
	}
	for i := range e.Stack {
		l.buf = append(appendFrame(append(l.buf[:0], "    "...), &e.Stack[i]), '\n')
		l.out.Write(l.buf)
	}
	if !l.full() {
		return nil
	}
	return l.out.Flush()
}

// Flush writes what is buffered.
func (l *Events) Flush() error { return l.out.Flush() }

var eventColors = [...]string{
	tcpvet.EventOpen: "\x1b[32m", tcpvet.EventFail: colors[tcpvet.Critical], tcpvet.EventClose: faint, tcpvet.EventLost: colors[tcpvet.Warning],
}

// eventColumns are those of the narrow list between the time and what happened.
var eventColumns = []eventColumn{
	{"Event", 5, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return append(b, e.Kind.String()...) }},
	{"Process", 20, eventProcess},
	{"Container", 9, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return appendContainer(b, e.Container) }},
	{"Local", 21, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return appendEventEnd(b, e.Local) }},
	{" ", 1, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return append(b, direction(e)) }},
	{"Remote", 21, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return appendEventEnd(b, e.Remote) }},
}

// whatColumn has no width and stands last.
var whatColumn = eventColumn{"What", 0, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return appendWhat(b, e) }}

var narrowEvent = append(append([]eventColumn{{"Time", 12, clock}}, eventColumns...), whatColumn)

// wideEvent is what else is known, in the same order.
var wideEvent = append(append(append([]eventColumn{{"Time", 26, date}}, eventColumns...), []eventColumn{
	{"Netns", 10, func(b []byte, e *tcpvet.Event, o *EventOptions) []byte { return appendNetns(b, e.Netns, o.Netns) }},
	{"Cookie", 8, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte {
		return number(b, e.Cookie != 0, e.Cookie)
	}},
	{"Known by", 8, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte {
		if !e.Process.Known() {
			return append(b, '-')
		}
		return append(b, e.KnownBy.String()...)
	}},
	{"From", 10, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return appendState(b, e.From) }},
	{"To", 10, func(b []byte, e *tcpvet.Event, _ *EventOptions) []byte { return appendState(b, e.To) }},
}...), whatColumn)

// clock appends the time of the day to the millisecond.
func clock(b []byte, e *tcpvet.Event, o *EventOptions) []byte {
	if e.At.IsZero() {
		return append(b, '-')
	}
	at := e.At.In(o.Zone)
	h, m, s := at.Clock()
	ms := at.Nanosecond() / 1e6
	return append(b, digit(h/10), digit(h), ':', digit(m/10), digit(m), ':', digit(s/10), digit(s), '.', digit(ms/100), digit(ms/10), digit(ms))
}

func digit(n int) byte { return byte('0' + n%10) }

func date(b []byte, e *tcpvet.Event, o *EventOptions) []byte {
	if e.At.IsZero() {
		return append(b, '-')
	}
	return e.At.In(o.Zone).AppendFormat(b, "2006-01-02 15:04:05.000000")
}

func eventProcess(b []byte, e *tcpvet.Event, _ *EventOptions) []byte {
	switch {
	case e.Process.Known():
		comm := e.Comm
		if comm == "" {
			comm = "?"
		}
		b = append(append(b, vet.Plain(comm)...), '[')
		return append(strconv.AppendInt(b, int64(e.Process.PID), 10), ']')
	case e.Process == tcpvet.Unseen:
		return append(b, "not seen"...)
	}
	return append(b, '-')
}

// appendContainer appends what vet.ContainerText gives.
func appendContainer(b []byte, c *tcpvet.Container) []byte {
	if c == nil {
		return append(b, '-')
	}
	if c.Pod != "" {
		b = append(append(b, vet.Plain(c.Pod)...), '/')
	}
	if c.Name != "" {
		return append(b, vet.Plain(c.Name)...)
	}
	return append(b, vet.Plain(c.ShortID())...)
}

func appendNetns(b []byte, id tcpvet.NetnsID, known func(tcpvet.NetnsID) (tcpvet.Netns, bool)) []byte {
	if id == 0 {
		return append(b, '-')
	}
	if known != nil {
		if n, ok := known(id); ok && len(n.Names) > 0 {
			return append(b, vet.Plain(n.Names[0])...)
		}
	}
	return strconv.AppendUint(b, uint64(id), 10)
}

// appendEventEnd appends an end as ss -n does; a dash for none.
func appendEventEnd(b []byte, ap netip.AddrPort) []byte {
	if !ap.IsValid() {
		return append(b, '-')
	}
	return endpoint(b, ap, 0)
}

// direction shows which end opened, or was to open, the connection.
func direction(e *tcpvet.Event) byte {
	switch {
	case !e.Remote.IsValid():
		return ' '
	case e.Role == tcpvet.Client:
		return '>'
	case e.Role == tcpvet.Server:
		return '<'
	}
	return '-'
}

// appendWhat appends what happened, in a few words.
func appendWhat(b []byte, e *tcpvet.Event) []byte {
	switch e.Kind {
	case tcpvet.EventOpen:
		word := "connected"
		if e.Role == tcpvet.Server {
			word = "accepted"
		}
		b = append(b, word...)
		return appendTook(b, " in ", e.Took)
	case tcpvet.EventFail:
		return appendFailure(b, e)
	case tcpvet.EventState:
		b = append(appendState(b, e.From), " -> "...)
		return appendTook(appendState(b, e.To), " after ", e.Took)
	case tcpvet.EventClose:
		return appendClose(b, e)
	case tcpvet.EventLost:
		b = append(b, vet.Counted(max(e.Count, 1), "event")...)
		return append(b, " lost: they came faster than they could be told"...)
	}
	return append(b, '-')
}

func appendFailure(b []byte, e *tcpvet.Event) []byte {
	b = append(b, e.Call.String()...)
	switch name := probe.Errno(e.Errno).Name(); {
	case e.Errno == 0:
		b = append(b, " given up by the program"...)
	case name != "":
		b = append(append(b, ' '), name...)
	default:
		b = strconv.AppendInt(append(b, " errno "...), int64(e.Errno), 10)
	}
	if e.Cause != tcpvet.NoCause {
		b = append(append(b, ' '), e.Cause.String()...)
	}
	b = appendTook(b, " after ", e.Took)
	switch {
	case e.SYNs == 1:
		b = append(b, ", 1 SYN"...)
	case e.SYNs > 1:
		b = append(strconv.AppendUint(append(b, ", "...), uint64(e.SYNs), 10), " SYNs"...)
	}
	if e.Count > 1 {
		b = append(append(b, ", "...), vet.Times(e.Count)...)
	}
	return b
}

func appendClose(b []byte, e *tcpvet.Event) []byte {
	switch e.First {
	case tcpvet.CloserLocal, tcpvet.CloserRemote:
		b = append(append(b, e.First.String()...), " first, "...)
	case tcpvet.CloserBoth:
		b = append(b, "both at once, "...)
	}
	switch e.How {
	case tcpvet.HowFIN:
		b = append(b, "FIN"...)
	case tcpvet.HowRST:
		b = append(b, "RST"...)
	case tcpvet.HowTimeout:
		b = append(b, "timed out"...)
	default:
		b = append(b, "closed"...)
	}
	b = appendTook(b, ", after ", e.Took)
	if e.CloseWait > 0 {
		b = append(appendSpan(append(b, ", "...), e.CloseWait), " in CLOSE-WAIT"...)
	}
	return b
}

// appendTook appends a time with a word before it, nothing where it is not known.
func appendTook(b []byte, before string, d time.Duration) []byte {
	if d < 0 {
		return b
	}
	return appendSpan(append(b, before...), d)
}
