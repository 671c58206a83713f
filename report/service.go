package report

import (
	"bufio"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// serviceColumn is a column of the summary by service.
type serviceColumn struct {
	title string
	cell  func(b []byte, r *capture.ServiceRow) []byte
}

// serviceColumns: the counts from Open to Unanswered add up to Conversations.
var serviceColumns = []serviceColumn{
	{"Service", func(b []byte, r *capture.ServiceRow) []byte {
		if !r.Server.IsValid() {
			return append(b, jsonv1.Other...)
		}
		return appendPlace(b, r.Server)
	}},
	counted("Conversations", func(r *capture.ServiceRow) uint64 { return r.Conversations }),
	counted("Open", func(r *capture.ServiceRow) uint64 { return r.Open }),
	counted("Four-way", func(r *capture.ServiceRow) uint64 { return r.FourWay }),
	counted("Three-way", func(r *capture.ServiceRow) uint64 { return r.ThreeWay }),
	counted("Simultaneous", func(r *capture.ServiceRow) uint64 { return r.Simultaneous }),
	counted("Half-closed", func(r *capture.ServiceRow) uint64 { return r.HalfClosed }),
	counted("Reset", func(r *capture.ServiceRow) uint64 { return r.Reset }),
	counted("Refused", func(r *capture.ServiceRow) uint64 { return r.Refused }),
	counted("Unanswered", func(r *capture.ServiceRow) uint64 { return r.Unanswered }),
	counted("Stuck in close-wait", func(r *capture.ServiceRow) uint64 { return r.Stuck }),
	counted("Retransmits", func(r *capture.ServiceRow) uint64 { return r.Retransmits }),
	counted("Bytes", func(r *capture.ServiceRow) uint64 { return r.Bytes }),
	{"Median RTT", func(b []byte, r *capture.ServiceRow) []byte { return maybeSpan(b, r.RTT) }},
}

func counted(title string, of func(*capture.ServiceRow) uint64) serviceColumn {
	return serviceColumn{title, func(b []byte, r *capture.ServiceRow) []byte { return strconv.AppendUint(b, of(r), 10) }}
}

// Services writes what the conversations with each server came to, a line for
// each, in columns as wide as they have to be. Columns in which all rows have
// nothing but zeros are left out.
func Services(w io.Writer, rows []capture.ServiceRow) error {
	var columns []serviceColumn
	var widths []int
	var b []byte
	for i, c := range serviceColumns {
		width, nothing := len(c.title), len(rows) > 0 && i > 1
		for j := range rows {
			b = c.cell(b[:0], &rows[j])
			width = max(width, utf8.RuneCount(b))
			nothing = nothing && (string(b) == "0" || string(b) == "-")
		}
		if !nothing {
			columns, widths = append(columns, c), append(widths, width)
		}
	}
	out := bufio.NewWriter(w)
	put := func(i int, cell []byte) {
		pad := widths[i] - utf8.RuneCount(cell)
		if i == 0 {
			out.Write(cell)
		}
		for range pad {
			out.WriteByte(' ')
		}
		if i > 0 {
			out.WriteString("  ")
			out.Write(cell)
		}
	}
	for i, c := range columns {
		put(i, []byte(c.title))
	}
	for j := range rows {
		out.WriteByte('\n')
		for i := range columns {
			b = columns[i].cell(b[:0], &rows[j])
			put(i, b)
		}
	}
	out.WriteByte('\n')
	return out.Flush()
}
