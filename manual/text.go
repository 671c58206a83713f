package manual

import (
	"io"
	"strings"
)

// TextOptions say how Text lays a page out. The zero value is 80 columns wide
// and without colour.
type TextOptions struct {
	// Width is the number of columns, at least 20; 0 means 80. Code,
	// commands and words that are longer than that are not broken.
	Width int

	// Style sets pieces off. It must not change their width.
	Style Style
}

// Style holds functions that set text off, by escape sequences. A nil one
// leaves its text as it is.
type Style struct {
	Title, Heading func(string) string
	Code, Strong   func(string) string
	Value, Absent  func(string) string // of a host: what it said, and that it did not say
}

func (s Style) mark(sp span) string {
	switch sp.mark {
	case code:
		return apply(s.Code, sp.text)
	case strong, stressed:
		return apply(s.Strong, sp.text)
	}
	return sp.text
}

func apply(f func(string) string, s string) string {
	if f == nil {
		return s
	}
	return f(s)
}

// Text prints the topic for a terminal, with the values of here.
func Text(w io.Writer, t Topic, here Here, o TextOptions) error {
	p := newPrinter(o)
	p.para(t.Name+": "+t.Title, 0, p.style.Title)
	headed := false
	for _, b := range t.Blocks() {
		if !headed {
			p.b.WriteByte('\n')
		}
		p.block(b, here)
		_, headed = b.(Heading)
	}
	return p.flush(w)
}

// codeIndent is how far code and what belongs to a word stand in.
const codeIndent = 4

// tab is what a tab in code becomes where it would not meet the tab stops.
const tab = "    "

// printer lays blocks out. Every line that it writes begins at column 0 and
// ends in a newline.
type printer struct {
	b     strings.Builder
	width int
	style Style
}

func newPrinter(o TextOptions) *printer {
	p := &printer{width: o.Width, style: o.Style}
	if p.width == 0 {
		p.width = 80
	}
	p.width = max(p.width, 20)
	return p
}

func (p *printer) flush(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *printer) block(b Block, here Here) {
	switch b := b.(type) {
	case Heading:
		p.heading(string(b))
	case Para:
		p.para(string(b), 0, nil)
	case List:
		for _, item := range b {
			p.hang("- ", item, 0)
		}
	case Terms:
		for _, t := range b {
			p.para(t.Word, 0, p.style.Strong)
			p.para(t.Text, codeIndent, nil)
		}
	case Table:
		p.table(b)
	case Code:
		for line := range strings.SplitSeq(b.Text, "\n") {
			p.line(codeIndent, strings.ReplaceAll(line, "\t", tab))
		}
	case Commands:
		for _, c := range b {
			p.line(codeIndent, apply(p.style.Code, c.Run))
			if note := c.note(); note != "" {
				p.para(note, 2*codeIndent, nil)
			}
		}
	case Values:
		p.heading("on this host")
		p.values(b, here)
	}
}

// heading writes a heading, in capitals so that it stands out without colour.
func (p *printer) heading(s string) { p.para(strings.ToUpper(s), 0, p.style.Heading) }

// note says what a command shows and what it needs.
func (c Command) note() string {
	note := c.Shows
	var needs []string
	if c.Root {
		needs = append(needs, "needs root")
	}
	if c.Waits {
		needs = append(needs, "runs until Ctrl-C")
	}
	if c.Changes {
		needs = append(needs, "changes this host")
	}
	if len(needs) > 0 {
		note = strings.TrimSpace(note + " (" + strings.Join(needs, ", ") + ")")
	}
	return note
}

func (p *printer) line(indent int, s string) {
	if s != "" {
		p.b.WriteString(strings.Repeat(" ", indent))
		p.b.WriteString(s)
	}
	p.b.WriteByte('\n')
}

// para writes running text, wrapped; all of it is set off where set is not
// nil.
func (p *printer) para(s string, indent int, set func(string) string) {
	for _, l := range p.wrap(s, p.width-indent, set) {
		p.line(indent, l)
	}
}

// hang writes running text behind a mark in its first line.
func (p *printer) hang(mark, s string, indent int) {
	for i, l := range p.wrap(s, p.width-indent-len(mark), nil) {
		if i > 0 {
			mark = strings.Repeat(" ", len(mark))
		}
		p.line(indent, mark+l)
	}
}

// wrap breaks running text into lines of at most width columns, but for words
// that are longer.
func (p *printer) wrap(s string, width int, set func(string) string) []string {
	var lines []string
	var line strings.Builder
	used := 0
	for _, w := range words(s, width) {
		n := w.width()
		if used > 0 && used+1+n > width {
			lines = append(lines, line.String())
			line.Reset()
			used = 0
		}
		if used > 0 {
			line.WriteByte(' ')
			used++
		}
		for _, sp := range w {
			if set != nil {
				line.WriteString(set(sp.text))
			} else {
				line.WriteString(p.style.mark(sp))
			}
		}
		used += n
	}
	return append(lines, line.String())
}

// leastValue is the room below which a value is put below its label.
const leastValue = 24

// values writes label and value side by side, or one below the other where
// the width does not allow that.
func (p *printer) values(vs Values, here Here) {
	label := 0
	for _, v := range vs {
		label = max(label, runes(v.Label))
	}
	value := p.width - codeIndent - label - 2
	for _, v := range vs {
		text, set := v.text(here), p.style.Value
		if text == notRead {
			set = p.style.Absent
		}
		if value < leastValue {
			p.para(v.Label, codeIndent, nil)
			p.para(text, codeIndent+2, set)
			continue
		}
		name := v.Label
		for _, l := range p.wrap(text, value, set) {
			p.line(codeIndent, name+strings.Repeat(" ", label-runes(name)+2)+l)
			name = ""
		}
	}
}
