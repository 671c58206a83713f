package report

import (
	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

// explainIndent is how deep an explanation stands below the line of its event.
const explainIndent = 4

// Explain writes why the failure of the last line happened, below it: what was found,
// what shows the same, what could not be seen, and with advice what helps.
func (l *Events) Explain(x *probe.Explanation, style Style, advice bool) {
	p := &printer{out: l.out, style: style}
	if x.Certainty == tcpvet.Likely && len(x.Text) > 0 {
		p.wrap("Likely: it fits what was seen, and something else could fit too.", explainIndent, "", "")
	}
	for _, line := range x.Text {
		p.wrap(line, explainIndent, "", "")
	}
	if advice {
		for _, e := range x.Evidence {
			p.item("see it", e.Check, e.What+": "+e.Got)
		}
		for _, r := range x.Remedies {
			p.remedy(r)
		}
	}
	for _, g := range x.Gaps {
		p.wrap("not seen: "+GapText(g), explainIndent, "  ", faint)
	}
}
