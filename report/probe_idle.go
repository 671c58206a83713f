package report

import (
	"bufio"
	"fmt"
	"io"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/vet"
)

// ProbeIdle prints for people how long a way keeps idle connections. Wide tells each
// connection too.
func ProbeIdle(w io.Writer, i *probe.Idle, wide bool, style Style) error {
	p := &printer{out: bufio.NewWriter(w), style: style}
	word, code := idleWord(i)
	p.probeHead(word, code, i.Target, i.Remote.String())
	r := i.Read()
	p.reading(&r, func() {
		if wide {
			for n := range i.Trials {
				p.wrap(trialText(&i.Trials[n]), 2, "  ", "")
			}
		}
	})
	asked := 0
	for _, t := range i.Trials {
		if t.Fate != probe.Unasked {
			asked++
		}
	}
	p.wrap(fmt.Sprintf("measured by %s in %s, with keepalive probes%s", vet.Counted(asked, "connection"), vet.Duration(i.Took), wroteText(i)), 0, "  ", faint)
	return p.out.Flush()
}

func wroteText(i *probe.Idle) string {
	if i.Wrote == 0 {
		return " alone: no data was sent"
	}
	return fmt.Sprintf(": %s were sent on each first", vet.Counted(i.Wrote, "byte"))
}

func idleWord(i *probe.Idle) (word, code string) {
	path, _, ok := i.Path()
	_, closes := i.Server()
	switch {
	case ok && path.Ended > 0:
		return "FORGOTTEN", colors[tcpvet.Warning]
	case closes:
		return "CLOSED BY THE SERVER", colors[tcpvet.Info]
	case ok && i.Interrupted:
		return "KEPT SO FAR", colors[tcpvet.Info]
	case ok:
		return "KEPT ALL THE TIME", colors[tcpvet.Info]
	}
	return "NOT MEASURED", colors[tcpvet.Critical]
}

// ProbeAnswers prints for people whether a peer answers keepalive probes.
func ProbeAnswers(w io.Writer, a *probe.Answers, style Style) error {
	p := &printer{out: bufio.NewWriter(w), style: style}
	word, code := "DOES NOT ANSWER", colors[tcpvet.Warning]
	switch a.Fate {
	case probe.Answered:
		word, code = "ANSWERS", colors[tcpvet.Info]
	case probe.Closed, probe.ResetIdle, probe.Undecided:
		word, code = "NOT MEASURED", colors[tcpvet.Critical]
	}
	p.probeHead(word, code, a.Target, a.Remote.String())
	r := a.Read()
	p.reading(&r, func() {})
	return p.out.Flush()
}

// probeHead says in short what was found, and where.
func (p *printer) probeHead(word, code, target, remote string) {
	at := ""
	if target != remote {
		at = "   at " + remote
	}
	p.verdict(word, code, target, at)
}

// verdict prints the first line of what was measured of a target.
func (p *printer) verdict(word, code, target, rest string) {
	fmt.Fprintf(p.out, "%s  %s%s\n", p.style.paint(code, word), p.style.paint(bold, vet.Plain(target)), rest)
}

// reading prints what follows from a measurement; more prints what else is told of it.
func (p *printer) reading(r *probe.Reading, more func()) {
	for _, line := range r.Text {
		p.wrap(line, 2, "", "")
	}
	for _, remedy := range r.Remedies {
		p.remedy(remedy)
	}
	more()
	for _, line := range r.Unknown {
		p.wrap("cannot tell: "+line, 0, "  ", faint)
	}
}

// trialText says what became of one connection.
func trialText(t *probe.Trial) string {
	line := fmt.Sprintf("%s: silent for %s, %s", t.Local, vet.Duration(t.Silence.Low), fateText[t.Fate])
	if t.Errno != 0 {
		line += ", " + t.Errno.String()
	}
	if t.Broken > 0 {
		line += fmt.Sprintf("; %s of the server in between", vet.Counted(t.Broken, "segment"))
	}
	return line
}

var fateText = map[probe.Fate]string{
	probe.Unasked:    "and not asked",
	probe.Answered:   "then answered",
	probe.Silent:     "then no answer",
	probe.ResetAsked: "then answered by RST",
	probe.ResetIdle:  "then ended by an RST that nobody asked for",
	probe.Closed:     "then closed by the server's FIN",
	probe.Undecided:  "then asked while data came, which does not tell",
}
