package report

import (
	"bufio"
	"fmt"
	"io"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Traffic prints what is wrong with captured conversations, then what could not
// be read and what was read.
func Traffic(w io.Writer, t *tcpvet.Traffic, r vet.Report, style Style) error {
	out := bufio.NewWriter(w)
	p := &printer{out: out, style: style}
	for i := range r.Findings {
		p.finding(&r.Findings[i])
	}
	for _, g := range t.Gaps {
		p.wrap("not read: "+GapText(g), 0, "  ", faint)
	}
	p.wrap(read(t), 0, "  ", faint)
	return out.Flush()
}

func read(t *tcpvet.Traffic) string {
	s := fmt.Sprintf("read: %s in %s of %s", vet.Counted(t.Conversations, "conversation"),
		vet.Counted(t.Segments, "TCP segment"), vet.Counted(t.Packets, "packet"))
	if n := len(t.Files); n > 1 {
		s += ", " + vet.Counted(n, "file")
	}
	return s + ", " + t.Source
}
