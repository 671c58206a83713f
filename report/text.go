package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Style says how text is laid out. The zero value is plain and not wrapped.
type Style struct {
	Color bool
	Width int // columns; 0 for no limit
}

// The ANSI sequences of a severity, and of what stands back.
var colors = map[tcpvet.Severity]string{
	tcpvet.Critical: "\x1b[1;31m",
	tcpvet.Warning:  "\x1b[1;33m",
	tcpvet.Info:     "\x1b[1;36m",
}

const (
	faint = "\x1b[2m"
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" || code == "" {
		return text
	}
	return code + text + plain
}

// Text prints a diagnosis for people: each finding, then what was not judged,
// not seen, and looked at.
func Text(w io.Writer, c *tcpvet.Case, r vet.Report, style Style) error {
	out := bufio.NewWriter(w)
	p := &printer{out: out, style: style}
	for i := range r.Findings {
		p.finding(&r.Findings[i])
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(out, Nothing(&c.Now, r))
	}
	for _, line := range Footer(&c.Now, r) {
		p.wrap(line, 0, "  ", faint)
	}
	return out.Flush()
}

// Nothing says that there are no findings, and no more than that.
func Nothing(c *tcpvet.Census, r vet.Report) string {
	text := "nothing wrong was found"
	if len(r.Skipped) > 0 {
		text += " by the rules that could be judged"
	}
	if c.Selected == 0 && c.Sockets > 0 {
		text += ": no socket was selected"
	}
	return text
}

type printer struct {
	out   *bufio.Writer
	style Style
}

func (p *printer) finding(f *tcpvet.Finding) {
	severity := strings.ToUpper(f.Severity.String())
	fmt.Fprintf(p.out, "%s  %s   %s\n", p.style.paint(colors[f.Severity], severity), p.style.paint(bold, f.Rule), f.Title)
	if f.Certainty == tcpvet.Likely {
		p.wrap("Likely: it fits what was seen, and something else could fit too.", 2, "", "")
	}
	for _, line := range f.Detail {
		p.wrap(line, 2, "", "")
	}
	for _, e := range f.Evidence {
		p.item("see it", e.Check, e.What+": "+e.Got)
	}
	for _, r := range f.Remedies {
		p.remedy(r)
	}
	p.out.WriteByte('\n')
}

// remedyLabels say where a remedy is applied.
var remedyLabels = map[tcpvet.RemedyKind]string{
	tcpvet.ByCode: "in code", tcpvet.ByCommand: "now", tcpvet.ByAdvice: "advice",
}

func (p *printer) remedy(r tcpvet.Remedy) {
	label := remedyLabels[r.Kind()]
	text := r.String()
	if r.Risk() != tcpvet.RiskNone {
		text += " (risk: " + r.Risk().String() + ")"
	}
	if r.Kind() == tcpvet.ByCommand {
		p.item(label, r.Command(), text)
		return
	}
	if cmd := r.Command(); cmd != "" {
		text += ": " + cmd
	}
	p.item(label, "", text)
}

// labelWidth is the width of the labels before commands and remedies.
const labelWidth = 12

// item prints a label, a command that is never broken, and a text below it.
func (p *printer) item(label, command, text string) {
	head := "    " + label + strings.Repeat(" ", labelWidth-len(label))
	if command == "" {
		p.block(head, text)
		return
	}
	p.out.WriteString(head + p.style.paint(bold, command) + "\n")
	if text != "" {
		p.block(strings.Repeat(" ", len(head)), text)
	}
}

// block prints text behind a head, its further lines as deep as the first.
func (p *printer) block(head, text string) {
	indent := utf8.RuneCountInString(head)
	for i, line := range fill(text, p.style.Width-indent) {
		if i > 0 {
			head = strings.Repeat(" ", indent)
		}
		p.out.WriteString(head + line + "\n")
	}
}

func (p *printer) wrap(text string, indent int, hanging, code string) {
	for i, line := range fill(text, p.style.Width-indent) {
		pad := strings.Repeat(" ", indent)
		if i > 0 {
			pad += hanging
		}
		p.out.WriteString(pad + p.style.paint(code, line) + "\n")
	}
}

// Remark prints text behind a head that names who says it, its further lines as deep as
// the first.
func Remark(w io.Writer, head, text string, style Style) error {
	out := bufio.NewWriter(w)
	(&printer{out: out, style: style}).block(head, text)
	return out.Flush()
}

// fill breaks text into lines of at most width characters, at blanks. A width
// under 20 leaves it whole.
func fill(text string, width int) []string {
	if width < 20 {
		return []string{text}
	}
	var lines []string
	var line strings.Builder
	n := 0
	for _, word := range strings.Fields(text) {
		w := utf8.RuneCountInString(word)
		if n > 0 && n+1+w > width {
			lines = append(lines, line.String())
			line.Reset()
			n = 0
		}
		if n > 0 {
			line.WriteByte(' ')
			n++
		}
		line.WriteString(word)
		n += w
	}
	return append(lines, line.String())
}

// Footer says what was not judged and not seen, and what was looked at.
func Footer(c *tcpvet.Census, r vet.Report) []string {
	var lines []string
	for _, s := range r.Skipped {
		lines = append(lines, fmt.Sprintf("not judged: %s (lacks %s)", s.Rule, strings.Join(s.Missing.Words(), ", ")))
	}
	for _, g := range c.Gaps {
		lines = append(lines, "not seen: "+GapText(g))
	}
	looked := fmt.Sprintf("looked at: %s, %s", vet.Counted(len(c.Netns), "namespace"), vet.Counted(c.Sockets, "socket"))
	if c.Selected != c.Sockets {
		looked += fmt.Sprintf(" (%s selected)", vet.Count(c.Selected))
	}
	if c.Changed > 0 {
		looked += fmt.Sprintf(" (%s changed meanwhile)", vet.Count(c.Changed))
	}
	looked += ", by " + c.Source
	if c.Duration > 0 {
		looked += fmt.Sprintf(", in %.2f s", c.Duration.Seconds())
	} else {
		lines = append(lines, savedText(c))
	}
	return append(lines, looked)
}

// savedText says whose sockets a saved look is about: the commands of its
// findings are meant for that host.
func savedText(c *tcpvet.Census) string {
	host, when := "a host that the text does not name", ""
	if c.Host.Name != "" {
		host = vet.Plain(c.Host.Name)
	}
	if !c.Taken.IsZero() {
		when = ", as of " + c.Taken.Format("2006-01-02 15:04:05 -0700")
	}
	return "a saved look at " + host + when + "; the commands are for that host"
}

// GapText says in a line what could not be seen, why, and what would help.
func GapText(g tcpvet.Gap) string {
	line := g.What
	if g.Count > 1 {
		line += fmt.Sprintf(" (%s)", vet.Count(g.Count))
	}
	if g.Where != "" {
		line += ", " + g.Where
	}
	line += ": " + g.Err
	if g.Needs != "" {
		line += "; needs " + g.Needs
	}
	return line
}
