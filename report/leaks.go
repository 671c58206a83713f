package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Leaks prints for people what is left in CLOSE-WAIT, by the code that opened it, the
// most first. Unless all is asked for, calls inside libraries are summed up, so that
// the line which the people of the program wrote stands out.
func Leaks(w io.Writer, l *tcpvet.Leaks, style Style, all bool) error {
	out := bufio.NewWriter(w)
	p := &printer{out: out, style: style}
	told := make(map[tcpvet.Process]bool)
	for i := range l.Groups {
		p.leak(l, &l.Groups[i], all)
		p.leakRemedy(l, &l.Groups[i], told)
		out.WriteByte('\n')
	}
	p.wrap(leaksSum(l), 0, "  ", "")
	for _, g := range l.Census.Gaps {
		p.wrap("not seen: "+GapText(g), 0, "  ", faint)
	}
	return out.Flush()
}

// leaksSum is the closing line.
func leaksSum(l *tcpvet.Leaks) string {
	text := vet.Counted(l.Count(), "connection") + " in CLOSE-WAIT"
	if l.OlderThan > 0 {
		text += " for " + vet.Duration(l.OlderThan) + " or longer"
	}
	if n := len(l.Groups); n > 1 {
		text += fmt.Sprintf(", in %d groups", n)
	}
	if l.Younger > 0 {
		text += ", and " + vet.Count(l.Younger) + " for less"
	}
	if l.Traced > 0 {
		text += "; openings were watched for " + vet.Duration(l.Traced)
	}
	return text
}

// leak prints one group.
func (p *printer) leak(l *tcpvet.Leaks, g *tcpvet.Leak, all bool) {
	c := &l.Census
	about := "to " + tcpvet.EndpointText(g.Service)
	if g.Role == tcpvet.Server {
		about = "accepted at " + tcpvet.EndpointText(g.Service)
	}
	head := vet.Heading(c, g.Netns, c.Processes[g.Process].Container, vet.ProgramText(c, g.Process), about)
	fmt.Fprintf(p.out, "%s   %s\n", p.style.paint(bold, vet.Count(g.Count)+" in CLOSE-WAIT"), head)
	if line := leakAge(l, g); line != "" {
		p.wrap(line, 2, "", "")
	}
	if g.Stack == nil {
		p.wrap(stackless(g), 2, "", "")
		return
	}
	p.wrap(leakOpener(c, g), 2, "", "")
	p.stack(g.Stack, all || tcpvet.Own(g.Stack) < 0 && g.Asker == nil)
	if g.Cut {
		p.out.WriteString("      … it is deeper than what was kept\n")
	}
	if len(g.Asker) > 0 {
		p.wrap("for this request:", 2, "", "")
		p.stack(g.Asker, all)
	} else if len(g.Creator) > 0 {
		p.wrap("Its goroutine was started at "+string(appendFrame(nil, &g.Creator[0])), 2, "  ", "")
	}
	for _, text := range []string{g.Note, g.Advice} {
		if text != "" {
			p.wrap(vet.Plain(text)+".", 2, "", "")
		}
	}
}

// leakAge says since when the oldest is closed by its peer.
func leakAge(l *tcpvet.Leaks, g *tcpvet.Leak) string {
	text := ""
	if g.Oldest.By != "" {
		text = "The peer closed the oldest " + vet.Ago(g.Oldest.Low, g.Oldest.High) + "."
	}
	if g.Unsure > 0 {
		if text != "" {
			text += " "
		}
		text += vet.Count(g.Unsure) + " may be so for less than " + vet.Duration(l.OlderThan) + "."
	}
	return text
}

// leakOpener says how the stack is known, and which thread's it is.
func leakOpener(c *tcpvet.Census, g *tcpvet.Leak) string {
	text := "Opened"
	if g.KnownBy == tcpvet.StackAccept {
		text = "Accepted"
	}
	if g.Opener.Known() {
		text += " by another process, " + vet.ProcessText(c, g.Opener) + ","
	}
	if g.Thread != "" && g.Thread != c.Processes[g.Process].Comm {
		text += " in thread " + vet.Plain(g.Thread)
	}
	text = strings.TrimSuffix(text, ",") + ", innermost call first"
	for i := range g.Stack {
		if g.Stack[i].Certainty == tcpvet.Likely {
			return text + " (? is likely: found on the stack, without frame pointers):"
		}
	}
	return text + ":"
}

// stackless says why no stack is known.
func stackless(g *tcpvet.Leak) string {
	opened := "Opened"
	if g.Role == tcpvet.Server {
		opened = "Accepted"
	}
	switch g.KnownBy {
	case tcpvet.StackBefore:
		return opened + " before the trace began: only what is opened while it runs has a stack."
	case tcpvet.StackNoRoom:
		return opened + " while the tables of the trace were full."
	case tcpvet.StackMissing:
		return "By which code is not known: openings were not watched."
	}
	return opened + " before the trace began, or in a way that it does not see."
}

// stack prints the calls, the innermost that is of no library marked.
func (p *printer) stack(stack []tcpvet.Frame, all bool) {
	own := tcpvet.Own(stack)
	for i := 0; i < len(stack); i++ {
		f := &stack[i]
		if n := libraries(stack[i:]); n > 1 && !all {
			// The last of them is what the people's own code called, or what began it all.
			i += n - 1
			text := string(appendFrame(nil, &stack[i])) + ", and " + strconv.Itoa(n-1) + " inside"
			p.out.WriteString("      " + p.style.paint(faint, text) + "\n")
			continue
		}
		mark, code := "      ", ""
		switch {
		case i == own:
			mark, code = "    > ", bold
		case f.Library():
			code = faint
		}
		p.out.WriteString(mark + p.style.paint(code, string(appendFrame(nil, f))) + "\n")
	}
}

// libraries counts the frames of libraries that a stack begins with.
func libraries(stack []tcpvet.Frame) int {
	if own := tcpvet.Own(stack); own >= 0 {
		return own
	}
	return len(stack)
}

// leakRemedy says once for each process where to read on.
func (p *printer) leakRemedy(l *tcpvet.Leaks, g *tcpvet.Leak, told map[tcpvet.Process]bool) {
	at := g.Process
	if !at.Known() || told[at] {
		return
	}
	told[at] = true
	i := l.Census.Processes[at]
	topic := vet.FixTopic(i)
	if vet.Language(i) == "" && slices.ContainsFunc(g.Stack, ofGo) {
		topic += " go"
	}
	p.item("in code", topic, "close what was opened, also where an error ends the work early")
}

// ofGo tells a frame of Go, which the name of a program does not tell.
func ofGo(f tcpvet.Frame) bool { return strings.HasSuffix(f.File, ".go") }
