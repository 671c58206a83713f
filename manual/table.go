package manual

import "strings"

// columnGap is the space between columns, leastColumn the width below which a
// wrapped column is no longer read with ease.
const (
	columnGap   = 2
	leastColumn = 10
)

// table writes a table. Columns that are too wide for the line are wrapped;
// where even that leaves too little, each row becomes a few lines of its own.
func (p *printer) table(t Table) {
	widths, ok := p.columns(t)
	if !ok {
		p.records(t)
		return
	}
	p.row(t.Head, widths)
	rule := make([]string, len(widths))
	for i, w := range widths {
		rule[i] = strings.Repeat("-", w)
	}
	p.line(0, strings.Join(rule, strings.Repeat(" ", columnGap)))
	for _, row := range t.Rows {
		p.row(row, widths)
	}
}

// columns chooses the widths of the columns: their natural ones, with the
// widest made narrower until the line holds them.
func (p *printer) columns(t Table) (widths []int, ok bool) {
	widths = make([]int, len(t.Head))
	least := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], runes(unmarked(cell)))
			for _, w := range words(cell, p.width) {
				least[i] = max(least[i], w.width())
			}
		}
	}
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for total > p.width {
		widest := -1
		for i, w := range widths {
			if w > max(least[i], leastColumn) && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return nil, false
		}
		widths[widest]--
		total--
	}
	return widths, true
}

func (p *printer) row(cells []string, widths []int) {
	lines := make([][]string, len(cells))
	plainWidths := make([][]int, len(cells))
	height := 0
	unset := printer{width: p.width}
	for i, cell := range cells {
		lines[i] = p.wrap(cell, widths[i], nil)
		for _, l := range unset.wrap(cell, widths[i], nil) {
			plainWidths[i] = append(plainWidths[i], runes(l))
		}
		height = max(height, len(lines[i]))
	}
	for y := range height {
		var b strings.Builder
		gap := 0
		for i := range cells {
			if y < len(lines[i]) && lines[i][y] != "" {
				b.WriteString(strings.Repeat(" ", gap))
				b.WriteString(lines[i][y])
				gap = widths[i] - plainWidths[i][y] + columnGap
			} else {
				gap += widths[i] + columnGap
			}
		}
		p.line(0, b.String())
	}
}

// records writes each row as its first cell, and the others below it.
func (p *printer) records(t Table) {
	for y, row := range t.Rows {
		if y > 0 {
			p.b.WriteByte('\n')
		}
		p.para(row[0], 0, p.style.Strong)
		for i := 1; i < len(row); i++ {
			if row[i] != "" {
				p.hang("  ", t.Head[i]+": "+row[i], 0)
			}
		}
	}
}
