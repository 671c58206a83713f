package report

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Budget is the use of local ports by tuple, as it is printed.
type Budget struct {
	Census *tcpvet.Census
	Uses   []vet.TupleUse
	More   int // tuples that were left out
	Plan   *vet.Plan
}

// budgetColumn is a column of the table of tuples.
type budgetColumn struct {
	title string
	right bool
	cell  func(c *tcpvet.Census, u *vet.TupleUse) string
}

// budgetColumns fit 100 characters where the addresses are IPv4 and all tuples of one
// namespace.
var budgetColumns = []budgetColumn{
	{"Local", false, func(_ *tcpvet.Census, u *vet.TupleUse) string {
		if !u.Local.IsValid() {
			return "*"
		}
		return u.Local.String()
	}},
	{"Remote", false, func(_ *tcpvet.Census, u *vet.TupleUse) string {
		if !u.Remote.IsValid() {
			return "*"
		}
		return tcpvet.EndpointText(u.Remote)
	}},
	ports("Taken", func(u *vet.TupleUse) int { return u.Taken }),
	ports("Left", func(u *vet.TupleUse) int { return u.Left }),
	{"Left %", true, func(_ *tcpvet.Census, u *vet.TupleUse) string {
		return strings.TrimSuffix(vet.Percent(u.LeftRatio()), " %")
	}},
	{"Mostly in", false, func(_ *tcpvet.Census, u *vet.TupleUse) string {
		if states := u.States(); len(states) > 0 {
			return states[0].String()
		}
		return "-"
	}},
	{"Lasts", true, lasts},
	{"Held by", false, mainHolder},
}

var budgetNetns = budgetColumn{"Netns", false, func(c *tcpvet.Census, u *vet.TupleUse) string { return vet.NetnsText(c, u.Netns) }}

// budgetRest are the columns of the wide table beside those.
var budgetRest = []budgetColumn{
	budgetNetns,
	{"Range", false, func(_ *tcpvet.Census, u *vet.TupleUse) string { return fmt.Sprintf("%d-%d", u.Ports.Low, u.Ports.High) }},
	ports("Reserved", func(u *vet.TupleUse) int { return u.Reserved }),
	ports("Bound", func(u *vet.TupleUse) int { return u.Blocked }),
	takenIn(tcpvet.Established), takenIn(tcpvet.CloseWait),
	{tcpvet.TimeWait.String(), true, func(c *tcpvet.Census, u *vet.TupleUse) string {
		if !c.Facts.Has(tcpvet.FactTimeWait) {
			return "-"
		}
		return strconv.FormatUint(uint64(u.Budget.Taken[tcpvet.TimeWait]), 10)
	}},
	ports("Other states", func(u *vet.TupleUse) int {
		t := &u.Budget.Taken
		return int(u.Budget.Total()) - int(t[tcpvet.Established]) - int(t[tcpvet.CloseWait]) - int(t[tcpvet.TimeWait])
	}),
	{"Reusable", true, func(c *tcpvet.Census, u *vet.TupleUse) string {
		if !vet.ReuseKnown(c, u.Netns) {
			return "-"
		}
		return strconv.FormatUint(uint64(u.Budget.ReusableTimeWait), 10)
	}},
	{"New/s", true, func(_ *tcpvet.Census, u *vet.TupleUse) string {
		if g, ok := u.Growth(); ok {
			return fmt.Sprintf("%.1f", float64(g.Last10s)/10)
		}
		return "-"
	}},
	{"Of", false, func(_ *tcpvet.Census, u *vet.TupleUse) string {
		if g, _ := u.Growth(); g.State != 0 {
			return g.State.String()
		}
		return "-"
	}},
	{"Bears/s", true, func(_ *tcpvet.Census, u *vet.TupleUse) string { return fmt.Sprintf("%.1f", u.Sustainable()) }},
	{"Every holder", false, everyHolder},
}

func ports(title string, of func(*vet.TupleUse) int) budgetColumn {
	return budgetColumn{title, true, func(_ *tcpvet.Census, u *vet.TupleUse) string { return strconv.Itoa(of(u)) }}
}

func takenIn(s tcpvet.State) budgetColumn {
	return ports(s.String(), func(u *vet.TupleUse) int { return int(u.Budget.Taken[s]) })
}

// lasts is in how long no port is left: "now", "4m40s", "-" where that is not in
// sight.
func lasts(_ *tcpvet.Census, u *vet.TupleUse) string {
	switch d, ok := u.ExhaustedIn(); {
	case !ok:
		return "-"
	case d == 0:
		return "now"
	default:
		return string(appendDuration(nil, d))
	}
}

// mainHolder names who has most, within the room that is left of 100 characters.
func mainHolder(c *tcpvet.Census, u *vet.TupleUse) string {
	const most = 18
	if len(u.Holders) == 0 || !c.Facts.Has(tcpvet.FactHolders) {
		return "-"
	}
	name, more := holderName(c, &u.Holders[0]), ""
	if u.Holders[0].Former {
		name = "(" + vet.ProcessText(c, u.Holders[0].Process) + ")" // no room for more
	}
	if n := len(u.Holders) - 1 + u.Holders[0].Alike; n > 0 {
		more = fmt.Sprintf("+%d", n)
	}
	if comm, pid, ok := strings.Cut(name, "["); ok {
		room := max(most-len("~[")-len(pid)-len(more), 1)
		if r := []rune(comm); len(r) > room+1 {
			name = string(r[:room]) + "~[" + pid
		}
	}
	return name + more
}

func everyHolder(c *tcpvet.Census, u *vet.TupleUse) string {
	if len(u.Holders) == 0 || !c.Facts.Has(tcpvet.FactHolders) {
		return "-"
	}
	names := make([]string, 0, len(u.Holders))
	for i := range u.Holders {
		h := &u.Holders[i]
		name := holderName(c, h)
		if h.Alike > 0 {
			name += fmt.Sprintf("+%d", h.Alike)
		}
		names = append(names, fmt.Sprintf("%s %d", name, h.Count))
	}
	return strings.Join(names, ", ")
}

func holderName(c *tcpvet.Census, s *vet.Share) string {
	p := s.Process
	switch {
	case s.Former:
		return vet.FormerText(c, p)
	case p.Known():
		return vet.ProcessText(c, p)
	case vet.MaybeNobody(c, p):
		return "-"
	case p == tcpvet.Nobody:
		return "nobody"
	}
	return "not seen"
}

func (b *Budget) columns(wide bool) []budgetColumn {
	if !wide {
		// Without the namespace the same addresses of two would be told apart
		// by nothing.
		elsewhere := func(u vet.TupleUse) bool { return u.Netns != b.Uses[0].Netns }
		if slices.ContainsFunc(b.Uses, elsewhere) {
			return append([]budgetColumn{budgetNetns}, budgetColumns...)
		}
		return budgetColumns
	}
	return append(append([]budgetColumn(nil), budgetColumns...), budgetRest...)
}

// Table prints a line for each tuple, in columns as wide as they have to be, what
// the numbers lack, and the plan.
// columns is how wide the plan may be, 0 for no limit.
func (b *Budget) Table(w io.Writer, wide bool, columns int) error {
	out := bufio.NewWriter(w)
	if len(b.Uses) == 0 {
		fmt.Fprintln(out, "no connection that was asked for takes a port of the local port range")
	} else {
		b.rows(out, b.columns(wide))
	}
	if b.More > 0 {
		fmt.Fprintf(out, "%s, with more ports left: --top 0 shows all\n", vet.Counted(b.More, "more tuple"))
	}
	if lost := b.Census.TupleError; lost > 0 {
		fmt.Fprintf(out, "small tuples were folded: each count of taken ports may be too small by %s\n", vet.Count(lost))
	}
	if b.Plan != nil {
		fmt.Fprintln(out)
		printPlan(out, b.Plan, columns)
	}
	return out.Flush()
}

func (b *Budget) rows(out *bufio.Writer, columns []budgetColumn) {
	cells := make([][]string, 0, len(b.Uses)+1)
	head := make([]string, len(columns))
	for i, col := range columns {
		head[i] = col.title
	}
	cells = append(cells, head)
	for i := range b.Uses {
		row := make([]string, len(columns))
		for j, col := range columns {
			row[j] = col.cell(b.Census, &b.Uses[i])
		}
		cells = append(cells, row)
	}
	for _, row := range cells {
		var line strings.Builder
		for j, cell := range row {
			width := 0
			for _, r := range cells {
				width = max(width, utf8.RuneCountInString(r[j]))
			}
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
			if columns[j].right {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}

// CSV prints all columns as comma-separated values.
func (b *Budget) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	columns := b.columns(true)
	row := make([]string, len(columns))
	for i, col := range columns {
		row[i] = col.title
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for i := range b.Uses {
		for j, col := range columns {
			row[j] = col.cell(b.Census, &b.Uses[i])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
