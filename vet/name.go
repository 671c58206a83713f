package vet

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/tcpvet/tcpvet"
)

// ProcessText names a process as people read it: python3[4121]. Of a special
// value it says what is known, as words that fit into a sentence.
func ProcessText(c *tcpvet.Census, p tcpvet.Process) string {
	if !p.Known() && p != tcpvet.Several && !c.Facts.Has(tcpvet.FactHolders) {
		return "a process that is not known"
	}
	switch p {
	case tcpvet.Nobody:
		return "nobody"
	case tcpvet.Unseen:
		if MaybeNobody(c, p) {
			return "nobody, or " + unseen
		}
		return unseen
	case tcpvet.Several:
		return "several processes"
	}
	comm := c.Processes[p].Comm
	if comm == "" {
		comm = "?"
	}
	return fmt.Sprintf("%s[%d]", Plain(comm), p.PID)
}

// FormerText names who closed what nobody holds any more: "(curl[4121])", and
// "(curl[4121] ended)" where that process has ended since.
func FormerText(c *tcpvet.Census, p tcpvet.Process) string {
	if c.Processes[p].Ended {
		return "(" + ProcessText(c, p) + " ended)"
	}
	return "(" + ProcessText(c, p) + ")"
}

const unseen = "a process that could not be seen"

// MaybeNobody tells that p stands for nobody as well as for a process that could
// not be seen: without inodes, ss -p and netstat -p name neither.
func MaybeNobody(c *tcpvet.Census, p tcpvet.Process) bool {
	return p == tcpvet.Unseen && c.Facts.Has(tcpvet.FactHolders) && !c.Facts.Has(tcpvet.FactInode)
}

// OwnerText is ProgramText for sockets that surely have a descriptor: their state
// tells it.
func OwnerText(c *tcpvet.Census, p tcpvet.Process) string {
	if MaybeNobody(c, p) {
		return unseen
	}
	return ProgramText(c, p)
}

// ProgramText names a process and its program: "python3[4121] app.py".
func ProgramText(c *tcpvet.Census, p tcpvet.Process) string {
	if program := Program(c.Processes[p]); program != "" {
		return ProcessText(c, p) + " " + program
	}
	return ProcessText(c, p)
}

// Program gives what tells one process of an interpreter from another: the
// script of python3 app.py, the jar or class of java; "" where the command
// itself is the program.
func Program(i tcpvet.ProcessInfo) string {
	if l := Language(i); l == "" || l == "nginx" {
		return ""
	}
	for n := 1; n < len(i.Args); n++ {
		switch arg := i.Args[n]; {
		case arg == "-m" || arg == "-jar":
			if n+1 < len(i.Args) {
				return Plain(path.Base(i.Args[n+1]))
			}
			return ""
		case arg == "-c" || arg == "-e":
			return "" // the program itself is on the command line
		case slices.Contains(withValue, arg):
			n++
		case arg != "" && !strings.HasPrefix(arg, "-"):
			return Plain(path.Base(arg))
		}
	}
	return ""
}

// withValue holds the options of interpreters whose value is the next word:
// java's class path, python's warnings and features, node's and ruby's modules.
var withValue = []string{"-cp", "-classpath", "--class-path", "-W", "-X", "-r", "--require"}

// languages names what runs a program, by the start of its name.
var languages = [...]struct{ prefix, language string }{
	{"python", "python"}, {"gunicorn", "python"}, {"uwsgi", "python"}, {"celery", "python"},
	{"java", "java"},
	{"node", "node"},
	{"php", "php"},
	{"ruby", "ruby"}, {"puma", "ruby"}, {"unicorn", "ruby"},
	{"nginx", "nginx"},
}

// Language gives the word under which the manual keeps the cures for this
// process: python, java, node, php, ruby or nginx. It is "" for a compiled
// program: its file does not tell what it was written in.
func Language(i tcpvet.ProcessInfo) string {
	names := []string{i.Exe, i.Comm}
	if len(i.Args) > 0 {
		names = append(names, path.Base(i.Args[0]))
	}
	for _, name := range names {
		for _, l := range languages {
			if rest, ok := strings.CutPrefix(name, l.prefix); ok && !startsWithLetter(rest) {
				return l.language
			}
		}
	}
	return ""
}

// startsWithLetter keeps javac, nodeexporter and phpmyadmin from being taken
// for what runs them.
func startsWithLetter(s string) bool { return s != "" && unicode.IsLetter(rune(s[0])) }

// FixTopic gives the command that shows how code in the language of this
// process is cured.
func FixTopic(i tcpvet.ProcessInfo) string {
	return strings.TrimSpace("tcpvet explain fix " + Language(i))
}

// ContainerText names a container by its name, else by its short ID; "-" for
// none.
func ContainerText(c *tcpvet.Container) string {
	switch {
	case c == nil:
		return "-"
	case c.Name != "" && c.Pod != "":
		return Plain(c.Pod + "/" + c.Name)
	case c.Name != "":
		return Plain(c.Name)
	case c.Pod != "":
		return Plain(c.Pod + "/" + c.ShortID())
	}
	return Plain(c.ShortID())
}

// Heading is the title of a finding: who, in which container and namespace,
// and about what. A namespace is named where it is not that of the one who
// looked; an empty who or about is left out.
func Heading(c *tcpvet.Census, ns tcpvet.NetnsID, container *tcpvet.Container, who, about string) string {
	parts := make([]string, 0, 4)
	if who != "" {
		parts = append(parts, who)
	}
	if container != nil {
		parts = append(parts, "container "+ContainerText(container))
	}
	if ns != 0 && ns != c.Self {
		parts = append(parts, "netns "+NetnsText(c, ns))
	}
	if about != "" {
		parts = append(parts, about)
	}
	return strings.Join(parts, "   ")
}

// NetnsText names a namespace: its first name, else its number.
func NetnsText(c *tcpvet.Census, ns tcpvet.NetnsID) string {
	n := c.Netns[ns]
	n.ID = ns
	return Plain(n.Name())
}

// Plain makes what another program chose safe to print: a process may call
// itself anything, a terminal's control codes too.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
