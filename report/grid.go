package report

import (
	"bufio"
	"io"
	"unicode/utf8"
)

// grid writes cells in columns, line by line. What is too wide for its column makes
// it wider from there on.
type grid struct {
	widths []int  // at least so many characters
	right  []bool // numbers
	code   string // with which the next cell is painted, "" for plain
	line   []byte // what was put of a line
	out    *bufio.Writer
}

// mostWidth is how wide a column may grow: an IPv6 endpoint has at most 47
// characters, the name of a host may have more.
const mostWidth = 48

func newGrid(w io.Writer) grid { return grid{out: bufio.NewWriterSize(w, 1<<16)} }

func (g *grid) column(width int, right bool) {
	g.widths, g.right = append(g.widths, width), append(g.right, right)
}

// put writes the cell of column i, and ends the line after the last.
func (g *grid) put(i int, cell []byte) {
	const blanks = "                                                  "
	last := i == len(g.widths)-1 // nothing behind it has to be kept in place
	pad := 0
	if !last {
		n := utf8.RuneCount(cell)
		if n > g.widths[i] && n <= mostWidth {
			g.widths[i] = n
		}
		pad = max(g.widths[i]-n, 0)
	}
	if g.right[i] {
		g.line = append(g.line, blanks[:pad]...)
	}
	if g.code == "" {
		g.line = append(g.line, cell...)
	} else {
		g.line = append(append(append(g.line, g.code...), cell...), plain...)
		g.code = ""
	}
	switch {
	case last:
		g.out.Write(append(g.line, '\n'))
		g.line = g.line[:0]
	case g.right[i]:
		g.line = append(g.line, "  "...)
	default:
		g.line = append(g.line, blanks[:pad+2]...)
	}
}

// full tells that it is time to write what is buffered.
func (g *grid) full() bool { return g.out.Buffered() >= 1<<15 }
