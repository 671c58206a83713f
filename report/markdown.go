package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Markdown prints a diagnosis to be pasted into a ticket.
func Markdown(w io.Writer, c *tcpvet.Case, r vet.Report) error {
	out := bufio.NewWriter(w)
	host := c.Now.Host.Name
	if host == "" {
		host = "a saved look"
	}
	fmt.Fprintf(out, "# tcpvet: %s\n", host)
	if !c.Now.Taken.IsZero() {
		fmt.Fprintf(out, "\n%s\n", c.Now.Taken.Format("2006-01-02 15:04:05 -0700"))
	}
	for i := range r.Findings {
		markdownFinding(out, &r.Findings[i])
	}
	if len(r.Findings) == 0 {
		fmt.Fprintf(out, "\n%s\n", Nothing(&c.Now, r))
	}
	fmt.Fprintln(out)
	for _, line := range Footer(&c.Now, r) {
		fmt.Fprintln(out, "-", line)
	}
	return out.Flush()
}

func markdownFinding(out *bufio.Writer, f *tcpvet.Finding) {
	fmt.Fprintf(out, "\n## %s: %s\n\n%s\n\n", strings.ToUpper(f.Severity.String()), f.Rule, f.Title)
	if f.Certainty == tcpvet.Likely {
		fmt.Fprintln(out, "- likely: something else could fit too")
	}
	for _, line := range f.Detail {
		fmt.Fprintln(out, "-", line)
	}
	for _, e := range f.Evidence {
		fmt.Fprintf(out, "- see it (%s: %s): `%s`\n", e.What, e.Got, e.Check)
	}
	for _, r := range f.Remedies {
		fmt.Fprintf(out, "- %s: %s", remedyLabels[r.Kind()], r)
		if cmd := r.Command(); cmd != "" {
			fmt.Fprintf(out, ": `%s`", cmd)
		}
		fmt.Fprintln(out)
	}
}
