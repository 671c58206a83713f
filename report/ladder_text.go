package report

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// LadderOptions are the choices for a ladder. Its zero value is plain, in
// Unicode, 100 columns wide.
type LadderOptions struct {
	Style
	ASCII    bool // for a terminal that has nothing else
	All      bool // fold nothing
	Absolute bool // sequence numbers as they are on the wire
}

// strokes are the characters that a ladder is drawn with.
type strokes struct{ line, right, left, tail, back, rail, broken, dots string }

var (
	unicodeStrokes = strokes{"─", "▶", "◀", "├", "┤", "│", "┊", "…"}
	asciiStrokes   = strokes{"-", ">", "<", "|", "|", "|", ":", "..."}
)

// The widths of a ladder's columns: a time, a state on each side, and what is
// between the rails, within bounds.
const (
	timeWidth   = 12
	stateWidth  = 10 // of CLOSE-WAIT
	ladderWidth = 100
	leastArrow  = 24
	mostArrow   = 90
)

// WriteLadder draws a conversation from its segments: time, state of the
// client, segment, state of the server. A state stands in the row of the
// segment that led to it, and in the row of a long silence. lines may be empty.
func WriteLadder(w io.Writer, c *tcpvet.Conversation, lines []LadderLine, o LadderOptions) error {
	out := bufio.NewWriter(w)
	l := &ladder{printer: printer{out: out, style: o.Style}, opt: o, strokes: unicodeStrokes, lines: lines}
	if o.ASCII {
		l.strokes = asciiStrokes
	}
	if o.Width <= 0 {
		o.Width = ladderWidth
	}
	l.arrow = min(max(o.Width-timeWidth-2*stateWidth-2*2-2-2, leastArrow), mostArrow)
	for i, line := range ladderHead(c) {
		if i == 0 {
			line = l.style.paint(bold, line)
		}
		out.WriteString(line + "\n")
	}
	out.WriteByte('\n')
	l.ends("client", "server")
	l.ends(string(appendPlace(nil, c.Client)), string(appendPlace(nil, c.Server)))
	for _, r := range rungs(lines, o.All) {
		l.rung(&r)
	}
	if len(c.Notes) > 0 {
		out.WriteByte('\n')
	}
	for i := range c.Notes {
		n := &c.Notes[i]
		head := string(n.Kind)
		if n.Certainty == tcpvet.Likely {
			head += " (likely)"
		}
		l.wrap(head+": "+n.Text, 0, "  ", "")
	}
	return out.Flush()
}

type ladder struct {
	printer
	opt     LadderOptions
	strokes strokes
	lines   []LadderLine
	arrow   int // characters between the rails
	client  tcpvet.State
	server  tcpvet.State
}

// ends writes a line with something above each rail.
func (l *ladder) ends(client, server string) {
	const left = timeWidth + 2 + stateWidth + 1
	room := max(l.arrow+1-utf8.RuneCountInString(client), 2)
	l.out.WriteString(strings.Repeat(" ", left) + client)
	// The server's stands as far to the left of its rail as it has to.
	if end := l.arrow + 2 + stateWidth; utf8.RuneCountInString(client)+2+utf8.RuneCountInString(server) <= end {
		room = max(min(room, end-utf8.RuneCountInString(client)-utf8.RuneCountInString(server)), 2)
	}
	l.out.WriteString(strings.Repeat(" ", room) + server + "\n")
}

func (l *ladder) rung(r *rung) {
	s := &l.strokes
	switch {
	case r.line != nil:
		label := r.line.label(l.opt.Absolute, l.arrow-6)
		rest := l.arrow - utf8.RuneCountInString(label) - 2 - 1 // a blank on each side, and the head
		before, after := strings.Repeat(s.line, rest/2), strings.Repeat(s.line, rest-rest/2)
		var row string
		if r.line.Step.From == tcpvet.ClientEnd {
			row = s.tail + before + " " + l.paintLabel(r.line, label) + " " + after + s.right + s.rail
		} else {
			row = s.rail + s.left + before + " " + l.paintLabel(r.line, label) + " " + after + s.back
		}
		l.row(sinceFirst(l.lines, r.line.At), l.changed(r.client, l.client), row, l.changed(r.server, l.server))
	case r.run != nil:
		l.row(sinceFirst(l.lines, r.run.at), "", s.broken+l.centre(s.dots+" "+r.run.text(l.arrow-10)+" "+s.dots)+s.broken, "")
	default:
		// Who waits in which state is what a silence is about.
		l.row("", l.style.paint(faint, padLeft(stateText(r.client))), s.broken+l.centre(span(r.gap)+" of silence")+s.broken,
			l.style.paint(faint, stateText(r.server)))
	}
	l.client, l.server = r.client, r.server
}

// changed gives the state where it is another one than before.
func (l *ladder) changed(now, before tcpvet.State) string {
	if now == before {
		return ""
	}
	return l.style.paint(bold, stateText(now))
}

func (l *ladder) row(time, client, middle, server string) {
	row := strings.Repeat(" ", max(timeWidth-len(time), 0)) + time + "  " + padLeft(client) + " " + middle + " " + server
	l.out.WriteString(strings.TrimRight(row, " ") + "\n")
}

// padLeft moves a state to the right end of its column. Colours have no width.
func padLeft(state string) string {
	n := utf8.RuneCountInString(strings.NewReplacer(bold, "", faint, "", plain, "").Replace(state))
	return strings.Repeat(" ", max(stateWidth-n, 0)) + state
}

// centre puts a text between the rails, cut if it has to be.
func (l *ladder) centre(text string) string {
	n := utf8.RuneCountInString(text)
	if n > l.arrow {
		text, n = string([]rune(text)[:l.arrow]), l.arrow
	}
	left := (l.arrow - n) / 2
	return strings.Repeat(" ", left) + l.style.paint(faint, text) + strings.Repeat(" ", l.arrow-n-left)
}

func (l *ladder) paintLabel(line *LadderLine, label string) string {
	switch {
	case line.Flags.Has(capture.RST):
		return l.style.paint(colors[tcpvet.Critical], label)
	case line.Step.What&remarkable != 0:
		return l.style.paint(colors[tcpvet.Warning], label)
	case line.Flags.Any(capture.SYN | capture.FIN):
		return l.style.paint(bold, label)
	}
	return label
}
