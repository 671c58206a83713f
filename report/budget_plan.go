package report

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// planIndent is where the steps of a way begin.
const planIndent = 25

// printPlan prints each way with its sum, a step a line. A command is never
// broken: it is there to be copied.
func printPlan(out *bufio.Writer, p *vet.Plan, width int) {
	fmt.Fprintf(out, "%s %s, each closed first by this side:\n", p.RateText(), between(&p.Use))
	pad := strings.Repeat(" ", planIndent)
	for _, w := range p.Ways {
		does := "?"
		if w.Carries != nil {
			does = map[bool]string{true: "yes", false: "no"}[*w.Carries]
		}
		lead := fmt.Sprintf("  %-17s %-5s", w.Name, does)
		step := func(text string) {
			for i, line := range fill(text, width-planIndent-2) {
				if i > 0 {
					line = "  " + line
				}
				fmt.Fprintln(out, lead+line)
				lead = pad
			}
		}
		for _, text := range w.Arithmetic {
			step(text)
		}
		for _, r := range w.Remedies {
			step(r.String())
			if run := r.Command(); run != "" {
				fmt.Fprintln(out, pad+"  "+run)
			}
		}
	}
	for _, note := range vet.PlanNotes {
		for _, line := range fill(note, width) {
			fmt.Fprintln(out, line)
		}
	}
}

// between says from where to where.
func between(u *vet.TupleUse) string {
	switch {
	case u.Local.IsValid() && u.Remote.IsValid():
		return "from " + u.Local.String() + " to " + tcpvet.EndpointText(u.Remote)
	case u.Remote.IsValid():
		return "from one address to " + tcpvet.EndpointText(u.Remote)
	}
	return "from one address to one endpoint"
}
