package report

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// SVGOptions are the choices for a picture.
type SVGOptions struct {
	All      bool // fold nothing
	Absolute bool // sequence numbers as they are on the wire
}

// The measures of a picture, in pixels. svgChar is what a character takes on
// average, with room to spare: in DejaVu Sans, which is a wide font.
const (
	svgWidth  = 1000
	svgAxis   = 112 // of the time
	svgClient = 262 // middle of the bar of its states
	svgServer = svgWidth - svgClient + svgAxis - 20
	svgBar    = 14
	svgRow    = 34 // of a segment
	svgSlope  = 8  // how much lower it arrives
	svgFold   = 40 // of a run
	svgLine   = 18 // of text
	svgFont   = 12
	svgChar   = 7
	svgTop    = 140
	svgBottom = 30 // the bars go on below the last row
	svgMargin = 20
)

// stateColors are from the palette of Okabe and Ito, which the colour-blind
// can tell apart; the states' names stand beside them.
var stateColors = map[tcpvet.State]string{
	tcpvet.SynSent: "#56b4e9", tcpvet.SynRecv: "#56b4e9", tcpvet.Established: "#009e73", tcpvet.FinWait1: "#f0e442", tcpvet.FinWait2: "#e69f00",
	tcpvet.CloseWait: "#d55e00", tcpvet.LastAck: "#cc79a7", tcpvet.Closing: "#555555", tcpvet.TimeWait: "#0072b2", tcpvet.Unconn: "#d0d0d0",
}

// WriteSVG draws what WriteLadder does as a picture that stands alone: time
// runs down, not to scale, with the states of both ends as bars beside the
// segments, and the notes below.
func WriteSVG(w io.Writer, c *tcpvet.Conversation, lines []LadderLine, o SVGOptions) error {
	out := bufio.NewWriter(w)
	p := &picture{out: out, lines: lines, opt: o, rows: rungs(lines, o.All)}
	head := ladderHead(c)
	notes := svgNotes(c)
	end := svgTop
	for i := range p.rows {
		end += p.rows[i].height()
	}
	height := end + svgBottom + svgMargin + svgLine*len(notes)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="%d">`+"\n",
		svgWidth, height, svgWidth, height, svgFont)
	fmt.Fprintf(out, "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", escapeXML(head[0]), svgWidth, height)
	p.text(svgMargin, 30, `font-size="16" font-weight="bold"`, head[0])
	p.text(svgMargin, 52, `fill="#333333"`, head[1])
	p.text(svgMargin, 70, `fill="#333333"`, head[2])
	p.place(svgClient, "start", "client", string(appendPlace(nil, c.Client)))
	p.place(svgServer, "end", "server", string(appendPlace(nil, c.Server)))
	p.text(svgAxis-10, svgTop-26, `text-anchor="end" fill="#666666"`, "seconds")

	p.draw(end)
	y := end + svgBottom + svgMargin + 4
	for _, note := range notes {
		p.text(svgMargin, y, `fill="#222222"`, note)
		y += svgLine
	}
	out.WriteString("</svg>\n")
	return out.Flush()
}

// svgNotes gives the lines of the notes.
func svgNotes(c *tcpvet.Conversation) []string {
	const characters = (svgWidth - 2*svgMargin) / svgChar
	var lines []string
	for i := range c.Notes {
		n := &c.Notes[i]
		head := string(n.Kind)
		if n.Certainty == tcpvet.Likely {
			head += " (likely)"
		}
		lines = append(lines, fill(head+": "+n.Text, characters)...)
	}
	return lines
}

type picture struct {
	out   *bufio.Writer
	lines []LadderLine
	rows  []rung
	opt   SVGOptions
}

// height is that of a row. A silence is higher the longer it is, by its
// logarithm, so that a short one and a long one look different.
func (r *rung) height() int {
	switch {
	case r.line != nil:
		return svgRow
	case r.run != nil:
		return svgFold
	}
	return svgFold + min(int(14*math.Log10(r.gap.Seconds()/longGap.Seconds())), 80)
}

// draw draws the rows, then the bars of the states.
func (p *picture) draw(end int) {
	client := stateBar{x: svgClient, anchor: "end", text: svgClient - svgBar/2 - 8}
	server := stateBar{x: svgServer, anchor: "start", text: svgServer + svgBar/2 + 8}
	p.line(svgAxis, svgTop-14, svgAxis, end+svgBottom, `stroke="#bbbbbb"`)
	p.line(svgClient, svgTop-14, svgClient, end+svgBottom, `stroke="#bbbbbb" stroke-dasharray="3 3"`)
	p.line(svgServer, svgTop-14, svgServer, end+svgBottom, `stroke="#bbbbbb" stroke-dasharray="3 3"`)
	y := svgTop
	for i := range p.rows {
		r := &p.rows[i]
		if r.line == nil {
			p.fold(r, y)
			y += r.height()
			continue
		}
		tail, head := y, y+svgSlope
		toServer := r.line.Step.From == tcpvet.ClientEnd
		p.segment(r.line, tail, head, toServer)
		if !toServer {
			tail, head = head, tail
		}
		client.enter(p, r.client, tail)
		server.enter(p, r.server, head)
		y += r.height()
	}
	client.enter(p, 0, end+svgBottom)
	server.enter(p, 0, end+svgBottom)
}

// stateBar draws the states of one end as they follow each other.
type stateBar struct {
	x, text int
	anchor  string
	state   tcpvet.State
	since   int
}

// enter ends the bar of the state so far at y, and begins that of s.
func (b *stateBar) enter(p *picture, s tcpvet.State, y int) {
	if s == b.state {
		return
	}
	if b.state != 0 {
		color := stateColors[b.state]
		if color == "" {
			color = "#ffffff"
		}
		fmt.Fprintf(p.out, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s" stroke="#333333" stroke-width="0.8"/>`+"\n",
			b.x-svgBar/2, b.since, svgBar, y-b.since, color)
		p.text(b.text, b.since+svgFont-2, fmt.Sprintf(`text-anchor="%s" font-weight="bold"`, b.anchor), stateText(b.state))
	}
	b.state, b.since = s, y
}

// segment draws an arrow with its label above.
func (p *picture) segment(l *LadderLine, tail, head int, toServer bool) {
	from, to, back := svgClient+svgBar/2+2, svgServer-svgBar/2-2, -9
	if !toServer {
		from, to, back = to, from, 9
	}
	color, style := "#333333", ""
	switch {
	case l.Flags.Has(capture.RST):
		color, style = "#c0392b", ` stroke-width="2.2"`
	case l.Flags.Any(capture.SYN | capture.FIN):
		style = ` stroke-width="1.8"`
	}
	if l.Step.What&(capture.Retransmission|capture.KeepaliveProbe|capture.WindowProbe|capture.Duplicate|capture.Ignored) != 0 {
		style += ` stroke-dasharray="6 4"`
	}
	p.line(svgAxis-4, tail, svgAxis, tail, `stroke="#888888"`)
	p.text(svgAxis-10, tail+4, `text-anchor="end" fill="#555555"`, sinceFirst(p.lines, l.At))
	p.line(from, tail, to+back, head, fmt.Sprintf(`stroke="%s"%s`, color, style))
	fmt.Fprintf(p.out, `<polygon points="%d,%d %d,%d %d,%d" fill="%s"/>`+"\n", to, head, to+back, head-4, to+back, head+4, color)
	weight := ""
	if l.Flags.Any(capture.SYN | capture.FIN | capture.RST) {
		weight = ` font-weight="bold"`
	}
	const characters = (svgServer - svgClient - 2*svgBar) / (svgChar + 1) // bold ones are wider
	label := l.label(p.opt.Absolute, characters)
	p.text((svgClient+svgServer)/2, tail-5, fmt.Sprintf(`text-anchor="middle" fill="%s"%s`, color, weight), label)
}

// fold draws what stands for a time: a silence, or segments that are not drawn.
func (p *picture) fold(r *rung, y int) {
	top, height := y-svgLine/2, r.height()-svgLine
	const left, width = svgClient + svgBar/2 + 14, svgServer - svgClient - svgBar - 28
	what, color := span(r.gap)+" of silence", "#f2f2f2"
	if r.run != nil {
		what, color = r.run.text(width/svgChar), "#e8f1f8"
		p.line(svgAxis-4, y, svgAxis, y, `stroke="#888888"`)
		p.text(svgAxis-10, y+4, `text-anchor="end" fill="#555555"`, sinceFirst(p.lines, r.run.at))
	}
	fmt.Fprintf(p.out, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left, top, width, height, color)
	p.text((svgClient+svgServer)/2, top+height/2+4, `text-anchor="middle" font-style="italic" fill="#444444"`, what)
}

// place names an end above its bar. The address reaches outwards from there to
// the margin, if it has to.
func (p *picture) place(x int, anchor, name, address string) {
	p.text(x, svgTop-42, `text-anchor="middle" font-weight="bold"`, name)
	if utf8.RuneCountInString(address) > mostWidth {
		address = string([]rune(address)[:mostWidth-1]) + "…"
	}
	at := x
	if half := svgChar * utf8.RuneCountInString(address) / 2; half <= x-svgAxis && half <= svgWidth-svgMargin-x {
		anchor = "middle"
	} else if anchor == "start" {
		at = svgAxis
	} else {
		at = svgWidth - svgMargin
	}
	p.text(at, svgTop-26, fmt.Sprintf(`text-anchor="%s"`, anchor), address)
}

func (p *picture) text(x, y int, attributes, text string) {
	fmt.Fprintf(p.out, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, attributes, escapeXML(text))
}

func (p *picture) line(x1, y1, x2, y2 int, attributes string) {
	fmt.Fprintf(p.out, `<line x1="%d" y1="%d" x2="%d" y2="%d" %s/>`+"\n", x1, y1, x2, y2, attributes)
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// escapeXML writes text that vet.Plain went over, or that is ours.
func escapeXML(s string) string { return xmlEscapes.Replace(s) }
