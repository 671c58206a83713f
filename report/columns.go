package report

import (
	"bufio"
	"encoding/csv"
	"io"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Column is one column of a list of sockets.
type Column struct {
	Title string
	Width int  // at least so many characters
	Right bool // numbers
	cell  func(b []byte, r *row) []byte
}

// row is what the cells of one socket are made from.
type row struct {
	s    *tcpvet.Socket
	view *View
}

// View tells what is known about the processes and namespaces of sockets.
type View struct {
	Processes map[tcpvet.Process]tcpvet.ProcessInfo
	Netns     map[tcpvet.NetnsID]tcpvet.Netns
	Holders   bool // holders were looked for
}

// Columns are those of the narrow list: the ones of ss, then who holds the
// socket, in which container, and how long it has been so.
var Columns = []Column{
	{"State", 10, false, func(b []byte, r *row) []byte { return append(b, r.s.State.String()...) }},
	{"Recv-Q", 6, true, func(b []byte, r *row) []byte {
		return number(b, r.s.Known&(tcpvet.FactQueues|tcpvet.FactBacklog) != 0, uint64(r.s.RecvQ))
	}},
	{"Send-Q", 6, true, func(b []byte, r *row) []byte {
		return number(b, r.s.Known&(tcpvet.FactQueues|tcpvet.FactBacklogMax) != 0, uint64(r.s.SendQ))
	}},
	{"Local Address:Port", 21, false, func(b []byte, r *row) []byte { return endpoint(b, r.s.Local, r.s.Interface) }},
	{"Peer Address:Port", 21, false, func(b []byte, r *row) []byte { return endpoint(b, r.s.Remote, r.s.Interface) }},
	{"Holder", 18, false, holder},
	{"Container", 12, false, func(b []byte, r *row) []byte {
		return append(b, vet.ContainerText(r.view.Processes[r.s.Owner()].Container)...)
	}},
	{"Age", 13, true, age},
	{"Known by", 16, false, func(b []byte, r *row) []byte {
		if a, ok := r.s.Age(); ok {
			return append(b, a.By...)
		}
		return append(b, '-')
	}},
}

// WideColumns are Columns and what else is known.
var WideColumns = append(append([]Column(nil), Columns...), []Column{
	{"Netns", 10, false, func(b []byte, r *row) []byte {
		n := r.view.Netns[r.s.Netns]
		n.ID = r.s.Netns
		if n.ID == 0 {
			return append(b, '-')
		}
		return append(b, n.Name()...)
	}},
	{"Role", 7, false, func(b []byte, r *row) []byte { return append(b, r.s.Role.String()...) }},
	{"Kind", 14, false, func(b []byte, r *row) []byte { return orDash(b, r.s.CloseWaitKind().String()) }},
	{"Keepalive", 9, false, func(b []byte, r *row) []byte {
		on, known := r.s.Keepalive()
		switch {
		case !known:
			return append(b, '-')
		case on:
			return append(b, "on"...)
		}
		return append(b, "off"...)
	}},
	{"Timer", 16, false, timer},
	{"UID", 6, true, func(b []byte, r *row) []byte { return number(b, r.s.Knows(tcpvet.FactUID), uint64(r.s.UID)) }},
	{"Inode", 9, true, func(b []byte, r *row) []byte { return number(b, r.s.Knows(tcpvet.FactInode), r.s.Inode) }},
	{"Cookie", 8, true, func(b []byte, r *row) []byte { return number(b, r.s.Knows(tcpvet.FactCookie), r.s.Cookie) }},
	{"Shared with", 12, false, func(b []byte, r *row) []byte {
		for i, p := range r.s.SharedWith {
			if i > 0 {
				b = append(b, ',')
			}
			b = processName(b, r, p)
		}
		return orDash(b, "")
	}},
}...)

func orDash(b []byte, s string) []byte {
	if s == "" && len(b) == 0 {
		return append(b, '-')
	}
	return append(b, s...)
}

func number(b []byte, known bool, n uint64) []byte {
	if !known {
		return append(b, '-')
	}
	return strconv.AppendUint(b, n, 10)
}

// endpoint prints as ss -n does: port 0 is "*". A link-local address means
// something on one link only, which is told by the interface's index.
func endpoint(b []byte, ap netip.AddrPort, link uint32) []byte {
	addr := ap.Addr()
	if addr.Is6() {
		b = append(b, '[')
	}
	b = addr.AppendTo(b)
	if link != 0 && addr.Is6() && addr.IsLinkLocalUnicast() {
		b = append(b, '%')
		b = strconv.AppendUint(b, uint64(link), 10)
	}
	if addr.Is6() {
		b = append(b, ']')
	}
	b = append(b, ':')
	if ap.Port() == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(ap.Port()), 10)
}

func holder(b []byte, r *row) []byte {
	switch p := r.s.Holder; {
	case p.Known():
		b = processName(b, r, p)
		if n := len(r.s.SharedWith); n > 0 {
			b = append(b, '+')
			b = strconv.AppendInt(b, int64(n), 10)
		}
		return b
	case r.s.Former.Known():
		b = processName(append(b, '('), r, r.s.Former)
		if r.view.Processes[r.s.Former].Ended {
			b = append(b, " ended"...)
		}
		return append(b, ')')
	case r.s.Former == tcpvet.Several:
		return append(b, "(several)"...)
	case r.s.Knows(tcpvet.FactInode) && r.s.Inode == 0:
		return append(b, "nobody"...)
	case !r.view.Holders, p == tcpvet.Unseen && !r.s.Knows(tcpvet.FactInode): // which would tell nobody from unseen
		return append(b, '-')
	case p == tcpvet.Unseen:
		return append(b, "not seen"...)
	}
	return append(b, "nobody"...)
}

// processName appends python3[4121].
func processName(b []byte, r *row, p tcpvet.Process) []byte {
	comm := r.view.Processes[p].Comm
	if comm == "" {
		comm = "?"
	}
	b = append(b, comm...)
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(p.PID), 10)
	return append(b, ']')
}

func age(b []byte, r *row) []byte {
	a, ok := r.s.Age()
	if !ok {
		return append(b, '-')
	}
	b = appendDuration(b, a.Low)
	if a.High != a.Low {
		b = append(b, ".."...)
		b = appendDuration(b, a.High)
	}
	return b
}

func timer(b []byte, r *row) []byte {
	if !r.s.Knows(tcpvet.FactTimer) {
		return append(b, '-')
	}
	t := r.s.Timer
	b = append(b, t.Kind.String()...)
	if t.Kind != tcpvet.TimerNone {
		b = append(b, ' ')
		b = appendDuration(b, t.Expires)
		if t.Retransmits > 0 {
			b = append(b, " x"...)
			b = strconv.AppendUint(b, uint64(t.Retransmits), 10)
		}
	}
	return b
}

// appendDuration prints two units at the most: 850ms, 4.2s, 3m07s, 2h13m,
// 5d04h.
func appendDuration(b []byte, d time.Duration) []byte {
	two := func(n int64) []byte {
		if n < 10 {
			b = append(b, '0')
		}
		return strconv.AppendInt(b, n, 10)
	}
	switch s := int64(d / time.Second); {
	case d < time.Second:
		return append(strconv.AppendInt(b, d.Milliseconds(), 10), "ms"...)
	case d < 10*time.Second:
		b = strconv.AppendInt(b, s, 10)
		b = append(b, '.')
		b = strconv.AppendInt(b, d.Milliseconds()/100%10, 10)
		return append(b, 's')
	case s < 60:
		return append(strconv.AppendInt(b, s, 10), 's')
	case s < 3600:
		b = append(strconv.AppendInt(b, s/60, 10), 'm')
		b = two(s % 60)
		return append(b, 's')
	case s < 86400:
		b = append(strconv.AppendInt(b, s/3600, 10), 'h')
		b = two(s / 60 % 60)
		return append(b, 'm')
	default:
		b = append(strconv.AppendInt(b, s/86400, 10), 'd')
		b = two(s / 3600 % 24)
		return append(b, 'h')
	}
}

// List writes sockets in columns, each as it comes.
type List struct {
	View    View
	columns []Column
	out     *bufio.Writer
	row     row
	buf     []byte
}

// NewList writes to w. Flush ends it.
func NewList(w io.Writer, columns []Column) *List {
	return &List{columns: columns, out: bufio.NewWriterSize(w, 1<<16)}
}

// Head writes the titles.
func (l *List) Head() {
	for i := range l.columns {
		l.put(i, []byte(l.columns[i].Title))
	}
}

// Socket writes a line.
func (l *List) Socket(s *tcpvet.Socket) error {
	l.row = row{s, &l.View}
	for i := range l.columns {
		l.buf = l.columns[i].cell(l.buf[:0], &l.row)
		l.put(i, l.buf)
	}
	if l.out.Buffered() < 1<<15 {
		return nil
	}
	return l.out.Flush()
}

func (l *List) put(i int, cell []byte) {
	const blanks = "                                        "
	c := &l.columns[i]
	for i, ch := range cell {
		if ch < ' ' || ch == 0x7f {
			cell[i] = '?' // a process may call itself anything, a terminal's control codes too
		}
	}
	pad := max(c.Width-utf8.RuneCount(cell), 0)
	last := i == len(l.columns)-1
	if c.Right {
		l.out.WriteString(blanks[:pad])
	}
	l.out.Write(cell)
	switch {
	case last:
		l.out.WriteByte('\n')
	case c.Right:
		l.out.WriteString("  ")
	default:
		l.out.WriteString(blanks[:pad+2])
	}
}

// Flush writes what is buffered.
func (l *List) Flush() error { return l.out.Flush() }

// CSV writes sockets as comma-separated values, each as it comes.
type CSV struct {
	View    View
	columns []Column
	out     *csv.Writer
	cells   []string
}

// NewCSV writes to w. Flush ends it.
func NewCSV(w io.Writer, columns []Column) *CSV {
	return &CSV{columns: columns, out: csv.NewWriter(w), cells: make([]string, len(columns))}
}

// Head writes the titles.
func (c *CSV) Head() error {
	for i := range c.columns {
		c.cells[i] = c.columns[i].Title
	}
	return c.out.Write(c.cells)
}

// Socket writes a line.
func (c *CSV) Socket(s *tcpvet.Socket) error {
	r := row{s, &c.View}
	for i := range c.columns {
		c.cells[i] = string(c.columns[i].cell(nil, &r))
	}
	return c.out.Write(c.cells)
}

// Flush writes what is buffered.
func (c *CSV) Flush() error { c.out.Flush(); return c.out.Error() }
