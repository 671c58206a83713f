package manual

import (
	"io"
	"strings"
)

// Page is a manual page of section 7, of one topic or of several that belong
// together.
type Page struct {
	Name   string // "tcpvet-states"
	Title  string // one line
	Date   string // of the release, as 2026-01-31; "" prints none
	Topics []Topic
}

// Man prints the page for man(1), in the macros of man(7) and tbl(1). It
// belongs to no host: values are named, not filled in.
func Man(w io.Writer, page Page) error {
	r := roff{}
	r.b.WriteString("'\\\" t\n")
	r.macro("TH", strings.ToUpper(page.Name), "7", page.Date, "tcpvet", "tcpvet manual")
	r.b.WriteString(".ad l\n.nh\n")
	r.macro("SH", "NAME")
	r.text(manText(page.Name) + " \\- " + manText(page.Title))
	for _, t := range page.Topics {
		heading := "SH"
		if len(page.Topics) > 1 {
			r.macro("SH", t.Name)
			r.text(manText(sentence(t.Title)))
			heading = "SS"
		} else {
			r.macro("SH", "DESCRIPTION")
			r.fresh = true
		}
		for _, b := range t.Blocks() {
			r.block(t, b, heading)
		}
	}
	_, err := io.WriteString(w, r.b.String())
	return err
}

// sentence gives a title as a sentence of its own.
func sentence(title string) string {
	if title == "" {
		return ""
	}
	return strings.ToUpper(title[:1]) + title[1:] + "."
}

type roff struct {
	b     strings.Builder
	fresh bool // a heading was written last: no paragraph is to be opened
}

// macro writes a request with its arguments, quoted.
func (r *roff) macro(name string, args ...string) {
	r.b.WriteString("." + name)
	for _, a := range args {
		r.b.WriteString(` "` + strings.ReplaceAll(manText(a), `"`, `""`) + `"`)
	}
	r.b.WriteByte('\n')
}

// paragraph opens a paragraph, which a heading has done already.
func (r *roff) paragraph() {
	if !r.fresh {
		r.macro("PP")
	}
}

// text writes an escaped line of running text.
func (r *roff) text(s string) {
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	r.b.WriteString(s + "\n")
}

func (r *roff) block(t Topic, b Block, heading string) {
	_, isHeading := b.(Heading)
	defer func() { r.fresh = isHeading }()
	switch b := b.(type) {
	case Heading:
		r.macro(heading, strings.ToUpper(string(b)))
	case Para:
		r.paragraph()
		r.text(manMarked(string(b)))
	case List:
		for _, item := range b {
			r.b.WriteString(".IP \\(bu 2\n")
			r.text(manMarked(item))
		}
	case Terms:
		for _, term := range b {
			r.macro("TP")
			r.text(`\fB` + manText(term.Word) + `\fR`)
			r.text(manMarked(term.Text))
		}
	case Table:
		r.table(b)
	case Code:
		r.literal(b.Text)
	case Commands:
		for i, c := range b {
			if i > 0 {
				r.fresh = false
			}
			r.paragraph()
			r.b.WriteString(".RS 4\n")
			r.text(`\fB` + manCode(c.Run) + `\fR`)
			if note := c.note(); note != "" {
				r.b.WriteString(".br\n")
				r.text(manMarked(note))
			}
			r.b.WriteString(".RE\n")
		}
	case Values:
		r.paragraph()
		r.text(`\fBtcpvet explain ` + manCode(t.Name) + `\fR adds what the host at hand says:`)
		for _, v := range b {
			r.b.WriteString(".IP \\(bu 2\n")
			r.text(manText(v.Label))
		}
	}
}

// literal writes lines that are not filled.
func (r *roff) literal(s string) {
	r.paragraph()
	r.b.WriteString(".RS 4\n.nf\n")
	for line := range strings.SplitSeq(s, "\n") {
		r.text(manCode(strings.ReplaceAll(line, "\t", tab)))
	}
	r.b.WriteString(".fi\n.RE\n")
}

// The text of a manual page is some 70 columns wide. A table that is wider has
// columns filled like paragraphs, the widest first, until the others leave room
// for that. One with two cells beyond longCell has no room for both.
const (
	pageWidth   = 66
	unfilledMax = 40
	longCell    = 60
)

// table writes a table. One with two long columns would have narrow columns of
// long words, so each of its rows becomes a paragraph.
func (r *roff) table(t Table) {
	widths := make([]int, len(t.Head))
	long := 0
	for i, head := range t.Head {
		widths[i] = runes(head)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], runes(unmarked(row[i])))
		}
		if widths[i] > longCell {
			long++
		}
	}
	if long > 1 {
		r.records(t)
		return
	}
	fill := filled(widths)
	var head, body []string
	for i := range widths {
		head = append(head, "lb")
		if fill[i] {
			body = append(body, "lx")
		} else {
			body = append(body, "l")
		}
	}
	r.paragraph()
	r.b.WriteString(".TS\n" + strings.Join(head, " ") + "\n" + strings.Join(body, " ") + ".\n")
	r.row(t.Head, fill)
	for _, row := range t.Rows {
		r.row(row, fill)
	}
	r.b.WriteString(".TE\n")
}

func (r *roff) records(t Table) {
	for _, row := range t.Rows {
		r.macro("TP")
		r.text(`\fB` + manMarked(row[0]) + `\fR`)
		for i, cell := range row[1:] {
			if i > 0 {
				r.b.WriteString(".br\n")
			}
			r.text(manMarked(t.Head[i+1] + ": " + cell))
		}
	}
}

// filled chooses the columns to fill.
func filled(widths []int) []bool {
	fill := make([]bool, len(widths))
	const gap = 3
	total := -gap
	for _, w := range widths {
		total += w + gap
	}
	if total <= pageWidth {
		return fill
	}
	for total > unfilledMax {
		widest := -1
		for i, w := range widths {
			if !fill[i] && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		fill[widest] = true
		total -= widths[widest] + gap
	}
	return fill
}

func (r *roff) row(cells []string, fill []bool) {
	for i, cell := range cells {
		if i > 0 {
			r.b.WriteByte('\t')
		}
		if fill[i] {
			r.b.WriteString("T{\n")
			r.text(manMarked(cell))
			r.b.WriteString("T}")
		} else {
			// A cell that begins with a dot would be a request.
			r.b.WriteString(`\&` + manMarked(cell))
		}
	}
	r.b.WriteByte('\n')
}

// manMarked writes running text with its marks: code and stress in bold.
func manMarked(s string) string {
	var b strings.Builder
	for _, sp := range spans(s) {
		switch sp.mark {
		case code:
			b.WriteString(`\fB` + manCode(sp.text) + `\fR`)
		case strong:
			b.WriteString(`\fB` + manText(sp.text) + `\fR`)
		case stressed:
			b.WriteString(`\fI` + manText(sp.text) + `\fR`)
		default:
			b.WriteString(manText(keepUnits(sp.text)))
		}
	}
	return b.String()
}

var (
	manTextEscapes = strings.NewReplacer(`\`, `\e`, "^", `\(ha`, "~", `\(ti`, hardSpace, `\ `)
	// In code a hyphen is a minus, and quotes stay straight, so that a
	// line can be copied.
	manCodeEscapes = strings.NewReplacer(`\`, `\e`, "^", `\(ha`, "~", `\(ti`, "-", `\-`, "'", `\(aq`, "`", `\(ga`)
)

func manText(s string) string { return manTextEscapes.Replace(s) }
func manCode(s string) string { return manCodeEscapes.Replace(s) }
