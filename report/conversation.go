package report

import (
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// ConversationOptions are the choices for a list of conversations. Its zero
// value is the narrow list, in UTC.
type ConversationOptions struct {
	Wide bool
	Zone *time.Location // in which Start is printed; nil for UTC
}

// Conversations writes conversations in columns, each as it comes.
type Conversations struct {
	grid
	columns []conversationColumn
	zone    *time.Location
	buf     []byte
}

// conversationColumn is one column.
type conversationColumn struct {
	title string
	width int  // at least so many characters
	right bool // numbers
	cell  func(b []byte, c *tcpvet.Conversation, zone *time.Location) []byte
}

// NewConversations writes to w. Flush ends it.
func NewConversations(w io.Writer, o ConversationOptions) *Conversations {
	l := &Conversations{columns: narrowConversation, zone: o.Zone, grid: newGrid(w)}
	if o.Wide {
		l.columns = wideConversation
	}
	if l.zone == nil {
		l.zone = time.UTC
	}
	for _, c := range l.columns {
		l.column(c.width, c.right)
	}
	return l
}

// Head writes the titles.
func (l *Conversations) Head() {
	for i := range l.columns {
		l.put(i, append(l.buf[:0], l.columns[i].title...))
	}
}

// Conversation writes a line.
func (l *Conversations) Conversation(c *tcpvet.Conversation) error {
	for i := range l.columns {
		l.buf = l.columns[i].cell(l.buf[:0], c, l.zone)
		l.put(i, l.buf)
	}
	if !l.full() {
		return nil
	}
	return l.out.Flush()
}

// Flush writes what is buffered.
func (l *Conversations) Flush() error { return l.out.Flush() }

// mainColumns are those of the narrow list but for the notes, which have no
// width and stand last.
var mainColumns = []conversationColumn{
	{"Client", 21, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return appendPlace(b, c.Client) }},
	{"Server", 21, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return appendPlace(b, c.Server) }},
	{"Open", 10, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return orDash(b, string(c.Open.Kind))
	}},
	{"Close", 12, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return orDash(b, string(c.Close.Kind))
	}},
	{"First", 6, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return appendEnd(b, c.Close.First) }},
	{"Close-wait", 10, true, closeWait},
	{"RTT", 9, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return maybeSpan(b, c.Open.RTT) }},
	{"Packets", 7, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return strconv.AppendUint(b, c.FromClient.Packets+c.FromServer.Packets, 10)
	}},
	{"Bytes", 9, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return strconv.AppendUint(b, c.FromClient.Bytes+c.FromServer.Bytes, 10)
	}},
}

var notesColumn = conversationColumn{"Notes", 0, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
	if len(c.Notes) == 0 {
		return append(b, '-')
	}
	return appendNotes(b, c.Notes, ',')
}}

var narrowConversation = append(mainColumns[:len(mainColumns):len(mainColumns)], notesColumn)

// wideConversation is what else is known, in the same order.
var wideConversation = append(append(append([]conversationColumn{
	{"N", 6, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return strconv.AppendInt(b, int64(c.Number), 10)
	}},
	{"Start", 26, false, func(b []byte, c *tcpvet.Conversation, zone *time.Location) []byte {
		if c.Start.IsZero() {
			return append(b, '-')
		}
		return c.Start.In(zone).AppendFormat(b, "2006-01-02 15:04:05.000000")
	}},
	{"Duration", 11, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return appendSpan(b, c.Duration) }},
}, mainColumns...), []conversationColumn{
	{"Connect", 9, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return maybeSpan(b, c.Open.Connect) }},
	{"Fin-wait-2", 10, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return maybeSpan(b, c.Close.FinWait2) }},
	{"Time-wait", 9, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return appendEnd(b, c.Close.TimeWait) }},
	{"Reset by", 8, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte { return appendEnd(b, c.Close.ResetBy) }},
	{"States", 22, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		b = appendState(b, c.ClientState)
		b = append(b, '/')
		return appendState(b, c.ServerState)
	}},
	{"Sent c/s", 11, true, both(func(f *tcpvet.Flow) uint64 { return f.Packets })},
	{"Bytes c/s", 13, true, both(func(f *tcpvet.Flow) uint64 { return f.Bytes })},
	{"Again c/s", 9, true, both(func(f *tcpvet.Flow) uint64 { return f.Retransmits })},
	{"Probes c/s", 10, true, both(func(f *tcpvet.Flow) uint64 { return f.Probes })},
	{"Client ISN", 10, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return maybeNumber(b, c.Open.ClientISN)
	}},
	{"Server ISN", 10, true, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return maybeNumber(b, c.Open.ServerISN)
	}},
	{"Client options", 28, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return appendSYNOptions(b, c.Open.ClientOptions)
	}},
	{"Server options", 28, false, func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		return appendSYNOptions(b, c.Open.ServerOptions)
	}},
}...), notesColumn)

// closeWait is how long the end that closed second was in CLOSE-WAIT; of one
// that still is, how long so far.
func closeWait(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
	if c.Close.PassiveWait == nil {
		for i := range c.Notes {
			if n := &c.Notes[i]; n.Kind == tcpvet.CloseWaitStuck {
				return appendSpan(append(b, '>'), n.Took)
			}
		}
	}
	return maybeSpan(b, c.Close.PassiveWait)
}

// appendNotes appends the kinds, with a question mark where the wire does not
// decide.
func appendNotes(b []byte, notes []tcpvet.Note, between byte) []byte {
	for i := range notes {
		if i > 0 {
			b = append(b, between)
		}
		b = append(b, notes[i].Kind...)
		if notes[i].Certainty == tcpvet.Likely {
			b = append(b, '?')
		}
	}
	return b
}

// appendPlace appends "10.0.3.7:8080", "[::1]:80" or "localhost:45788".
func appendPlace(b []byte, ap netip.AddrPort) []byte {
	switch {
	case !ap.IsValid():
		return append(b, '-')
	case ap.Addr().Zone() == "":
		return ap.AppendTo(b)
	}
	// What stands in the place of a zone is text that came with the capture.
	if name, ok := tcpvet.HostName(ap.Addr()); ok {
		b = append(b, vet.Plain(name)...)
		return strconv.AppendUint(append(b, ':'), uint64(ap.Port()), 10)
	}
	return append(b, vet.Plain(ap.String())...)
}

func appendEnd(b []byte, e tcpvet.End) []byte {
	if e == tcpvet.NoEnd {
		return append(b, '-')
	}
	return orDash(b, string(e))
}

// appendState appends an end's state, a dash for one that was never seen.
func appendState(b []byte, s tcpvet.State) []byte {
	if s == 0 {
		return append(b, '-')
	}
	return append(b, jsonv1.ConversationState(s)...)
}

// both makes a cell of what each end sent.
func both(of func(*tcpvet.Flow) uint64) func([]byte, *tcpvet.Conversation, *time.Location) []byte {
	return func(b []byte, c *tcpvet.Conversation, _ *time.Location) []byte {
		b = strconv.AppendUint(b, of(&c.FromClient), 10)
		return strconv.AppendUint(append(b, '/'), of(&c.FromServer), 10)
	}
}

func maybeNumber(b []byte, n *uint32) []byte {
	if n == nil {
		return append(b, '-')
	}
	return strconv.AppendUint(b, uint64(*n), 10)
}

// appendSYNOptions appends them in tcpdump's words.
func appendSYNOptions(b []byte, o *tcpvet.SYNOptions) []byte {
	if o == nil {
		return append(b, '-')
	}
	start := len(b)
	next := func(word string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, word...)
	}
	if o.MSS != nil {
		next("mss ")
		b = strconv.AppendUint(b, uint64(*o.MSS), 10)
	}
	if o.SACK {
		next("sackOK")
	}
	if o.Timestamps {
		next("TS")
	}
	if o.WScale != nil {
		next("wscale ")
		b = strconv.AppendUint(b, uint64(*o.WScale), 10)
	}
	if o.FastOpen {
		next("tfo")
	}
	if len(b) == start {
		return append(b, "none"...)
	}
	return b
}
