package lab

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
)

// Text writes a story as plain text, step by step as it is told. The first
// error of the writer or of Diagnose is kept, and ends the writing.
type Text struct {
	W io.Writer

	// Diagnose writes what the rules say of a moment, as the first source
	// saw it; nil leaves it out.
	Diagnose func(io.Writer, *View) error

	Err   error // the first error
	steps int
}

// textWidth is where paragraphs are broken, in columns.
const textWidth = 80

// Begin writes the title of the story.
func (t *Text) Begin(sc *Scenario) {
	t.write(func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s\n", sc.Name, sc.Title)
		return err
	})
}

// Tell writes the next step. It fits Options.Tell.
func (t *Text) Tell(s Step) {
	t.steps++
	t.write(func(w io.Writer) error {
		fmt.Fprintf(w, "\n%d. %s\n", t.steps, s.Title)
		paragraphs(w, "done", s.Done)
		for _, said := range s.Said {
			said.print(w)
		}
		paragraphs(w, "seen", s.Shown)
		if s.Ends != nil {
			s.Ends.table(w)
		}
		segmentTable(w, s.Segments)
		if err := t.judged(w, &s); err != nil {
			return err
		}
		if len(s.Failed) > 0 {
			paragraphs(w, "failed", s.Failed)
			return nil // what it means holds for what was to be
		}
		paragraphs(w, "means", s.Means)
		return nil
	})
}

func (t *Text) judged(w io.Writer, s *Step) error {
	for _, j := range s.Judged {
		if t.Diagnose == nil {
			continue
		}
		fmt.Fprintln(w)
		if err := t.Diagnose(w, &j.Views[0]); err != nil {
			return err
		}
		if len(s.Means) > 0 {
			fmt.Fprintln(w)
		}
	}
	return nil
}

func (t *Text) write(f func(io.Writer) error) {
	if t.Err != nil {
		return
	}
	w := bufio.NewWriter(t.W)
	t.Err = f(w)
	if err := w.Flush(); t.Err == nil {
		t.Err = err
	}
}

// margin is where paragraphs begin, after the label of the first.
const margin = "          "

func paragraphs(w io.Writer, label string, texts []string) {
	lead := fmt.Sprintf("   %-*s", len(margin)-3, label)
	for _, text := range texts {
		for _, line := range wrapped(text, textWidth-len(margin)) {
			fmt.Fprintln(w, lead+line)
			lead = margin
		}
	}
}

// wrapped breaks text between words into lines of at most width characters.
func wrapped(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case length == 0:
			line, length = word, n
		case length+1+n <= width:
			line, length = line+" "+word, length+1+n
		default:
			lines = append(lines, line)
			line, length = word, n
		}
	}
	if length > 0 {
		lines = append(lines, line)
	}
	return lines
}

// table writes the states that either end has.
func (e *Ends) table(w io.Writer) {
	fmt.Fprintf(w, "%s%-12s %14s %14s\n", margin, "STATE", "client's ends", "server's ends")
	for _, s := range tcpvet.States {
		if e.Client[s] == 0 && e.Server[s] == 0 {
			continue
		}
		fmt.Fprintf(w, "%s%-12s %14s %14s\n", margin, s, grouped(int(e.Client[s])), grouped(int(e.Server[s])))
	}
}
