package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// PlanOptions say how a plan is printed.
type PlanOptions struct {
	Style
	Wide    bool       // each socket by itself
	Applied bool       // it was to be applied: the outcomes are what became of it
	Next    []PlanNext // what goes on from it
}

// PlanNext is a command that goes on from a plan.
type PlanNext struct{ Label, Command, Text string }

// Plan prints for people what is to be changed, or what became of it: what is alike
// together, with what it has and what it gets. The processes and the namespaces of its
// changes are named as in c.
func Plan(w io.Writer, p *tcpvet.Plan, c *tcpvet.Census, o PlanOptions) error {
	out := bufio.NewWriterSize(w, 1<<16)
	pr := &printer{out: out, style: o.Style}
	pr.wrap(planHead(p, o.Applied), 0, "  ", bold)
	pr.planTable(p, c, o.Wide)
	if len(p.Notes)+len(p.Gaps) > 0 {
		out.WriteByte('\n')
	}
	for _, note := range p.Notes {
		pr.block("  - ", vet.Plain(note))
	}
	for _, g := range p.Gaps {
		pr.wrap("not seen: "+vet.Plain(GapText(g)), 0, "  ", faint)
	}
	if len(o.Next) > 0 {
		out.WriteByte('\n')
	}
	for _, next := range o.Next {
		pr.item(next.Label, next.Command, next.Text)
	}
	return out.Flush()
}

// planHead says in a line what the plan is about, or what came of it.
func planHead(p *tcpvet.Plan, applied bool) string {
	what := p.Kind.String()
	if p.Undoes != "" {
		what = "undo " + p.Undoes
	}
	switch {
	case len(p.Changes) == 0 && (p.Kind == tcpvet.KeepalivePlan || p.Kind == tcpvet.ClosePlan):
		if len(p.Gaps) > 0 {
			return what + ": of what can be seen no socket is selected that could be changed"
		}
		return what + ": no socket is selected that could be changed"
	case len(p.Changes) == 0:
		return what + ": there is nothing to change"
	case !applied && p.Pending():
		return what + ", planned: " + vet.Plain(pendingText(p)) + tallyText(p, "; ") + "; nothing is changed yet"
	case p.Pending() && p.ID == "":
		return what + ", not applied: " + vet.Plain(pendingText(p)) + tallyText(p, "; ")
	case p.ID != "" && !nothingDone(p):
		return what + ", applied as " + p.ID + tallyText(p, ": ")
	}
	if applied || p.ID != "" {
		return what + ", nothing was changed" + tallyText(p, ": ")
	}
	return what + ", nothing is to be changed" + tallyText(p, ": ")
}

// nothingDone tells that nothing of a plan was so much as tried: a signal came before.
func nothingDone(p *tcpvet.Plan) bool {
	tally := p.Tally()
	return p.Pending() && tally[tcpvet.OutcomeApplied]+tally[tcpvet.OutcomeUndone]+tally[tcpvet.OutcomeFailed] == 0
}

// pendingText says what is yet to be changed.
func pendingText(p *tcpvet.Plan) string {
	q := tcpvet.Plan{Kind: p.Kind}
	for _, c := range p.Changes {
		if c.Outcome == tcpvet.OutcomePlanned {
			q.Changes = append(q.Changes, c)
		}
	}
	return q.Summary()
}

// outcomeTexts are the outcomes, in the order in which they are counted.
var outcomeTexts = [...]struct {
	outcome tcpvet.Outcome
	text    string
}{
	{tcpvet.OutcomeApplied, "applied"}, {tcpvet.OutcomeUndone, "undone"}, {tcpvet.OutcomeUnchanged, "so already"},
	{tcpvet.OutcomeGone, "gone by itself"}, {tcpvet.OutcomeRefused, "refused"}, {tcpvet.OutcomeFailed, "failed"},
}

// tallyText counts the outcomes behind before, "" where there are none: "27,350
// applied, 2 gone by itself".
func tallyText(p *tcpvet.Plan, before string) string {
	tally := p.Tally()
	var parts []string
	for _, o := range outcomeTexts {
		if n := tally[o.outcome]; n > 0 {
			parts = append(parts, vet.Count(n)+" "+o.text)
		}
	}
	if n := tally[tcpvet.OutcomePlanned]; n > 0 && p.ID != "" {
		parts = append(parts, vet.Count(n)+" not tried")
	}
	if len(parts) == 0 {
		return ""
	}
	return before + strings.Join(parts, ", ")
}

// cut tells that a value is too long for its cell.
func cut(values ...tcpvet.Value) bool {
	return slices.ContainsFunc(values, func(v tcpvet.Value) bool { return utf8.RuneCountInString(v.String()) > mostWidth })
}

// planTable prints the changes, those that are alike in one row unless each is asked
// for, and below a row the reason of its outcome.
func (p *printer) planTable(plan *tcpvet.Plan, c *tcpvet.Census, each bool) {
	rows, more := planRows(plan, each)
	if len(rows) == 0 {
		return
	}
	columns := planColumnsOf(plan, c, each)
	g := grid{out: p.out}
	for _, col := range columns {
		width := len(col.title)
		for i := range rows {
			width = max(width, utf8.RuneCountInString(col.cell(c, &rows[i])))
		}
		g.column(min(width, mostWidth), col.right)
	}
	p.out.WriteByte('\n')
	for i, col := range columns {
		g.put(i, []byte(col.title))
	}
	for i := range rows {
		for j, col := range columns {
			g.put(j, []byte(col.cell(c, &rows[i])))
		}
		if ch := &rows[i].change; ch.Target.Run != "" && cut(ch.Before, ch.After) {
			p.wrap(vet.Plain(cmp.Or(ch.After.Text, ch.Before.Text)), 4, "", "")
		}
		if why := rows[i].change.Reason; why != "" && rows[i].change.Outcome != tcpvet.OutcomeUnchanged {
			p.wrap(vet.Plain(why), 4, "", "")
		}
	}
	if more.rows > 0 {
		p.wrap(fmt.Sprintf("and %s more in %s: -o wide lists each", vet.Count(more.count), vet.Counted(more.rows, "group")), 0, "  ", "")
	}
}
