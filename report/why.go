package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/vet"
)

// Why prints for people what became of an attempt to connect.
func Why(w io.Writer, a *probe.Answer, style Style) error {
	out := bufio.NewWriter(w)
	p := &printer{out: out, style: style}
	p.whyHead(a)
	if a.Certainty == tcpvet.Likely {
		p.wrap("Likely: it fits what was seen, and something else could fit too.", 2, "", "")
	}
	for _, line := range a.Text {
		p.wrap(line, 2, "", "")
	}
	if line := originsText(a); line != "" {
		p.wrap(line, 2, "", "")
	}
	if len(a.Tries) > 1 {
		for i := range a.Tries {
			p.wrap(tryText(&a.Tries[i]), 2, "  ", "")
		}
	}
	for _, e := range a.Evidence {
		p.item("see it", e.Check, e.What+": "+e.Got)
	}
	for _, r := range a.Remedies {
		p.remedy(r)
	}
	for _, g := range a.Census.Gaps {
		p.wrap("not seen: "+GapText(g), 0, "  ", faint)
	}
	return out.Flush()
}

// whyHead says whether it connected, to what and from where.
func (p *printer) whyHead(a *probe.Answer) {
	word, code := "CONNECTED", colors[tcpvet.Info]
	if !a.Connected() {
		word, code = "NOT CONNECTED", colors[tcpvet.Critical]
	}
	about := "to " + vet.Plain(a.Target)
	if a.Bind.IsValid() {
		about = "from " + a.Bind.String() + " " + about
	}
	who := ""
	if a.Process.Known() {
		who = "in place of " + vet.ProgramText(a.Census, a.Process)
	}
	title := vet.Heading(a.Census, a.Netns, a.Census.Processes[a.Process].Container, who, about)
	if cause := a.Cause.String(); cause != "" {
		title = p.style.paint(bold, cause) + "   " + title
	}
	fmt.Fprintf(p.out, "%s  %s\n", p.style.paint(code, word), title)
}

// originsText says which addresses a name has, and from where; "" for an address.
func originsText(a *probe.Answer) string {
	var parts []string
	for _, o := range a.Origins {
		parts = append(parts, fmt.Sprintf("%s (%s)", o.Addr, vet.Plain(o.From)))
	}
	if len(a.Origins) == 1 && a.Origins[0].From == "as given" || len(parts) == 0 {
		return ""
	}
	return "The name has " + strings.Join(parts, ", ") + "."
}

func tryText(t *probe.Try) string {
	switch {
	case t.GaveUp:
		return fmt.Sprintf("tried %s: no answer, %s", t.Remote, t.Cause)
	case t.Errno != 0:
		return fmt.Sprintf("tried %s: %s, %s", t.Remote, t.Errno, t.Cause)
	}
	return fmt.Sprintf("tried %s: connected in %d us", t.Remote, t.Took.Microseconds())
}
