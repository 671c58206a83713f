package filter

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// SyntaxError says where a filter cannot be read.
type SyntaxError struct {
	Column   int      // in characters, from 1
	Text     string   // the whole filter, its arguments joined by spaces
	Got      string   // what stands there, "" at the end
	Expected []string // what may stand there: words of the language, or descriptions
	Meant    string   // the word that was probably meant, "" for none
	Reason   string   // why it cannot stand there, "" where that is plain
}

// Error names the column, what was found and what was expected; a line with
// the filter and one with a caret below the column follow.
func (e *SyntaxError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "parse filter: column %d: found %s", e.Column, e.found())
	if len(e.Expected) > 0 {
		b.WriteString(", expected ")
		b.WriteString(alternatives(e.Expected))
	}
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	if e.Meant != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Meant)
	}
	line, caret := e.excerpt()
	fmt.Fprintf(&b, "\n  %s\n  %s^", line, strings.Repeat(" ", caret))
	return b.String()
}

// mostShown bounds how much of a filter a message repeats, in characters.
const mostShown = 60

func (e *SyntaxError) found() string {
	if e.Got == "" {
		return "the end"
	}
	return quote(e.Got)
}

// quote gives a text in quotes, the beginning of it where it is long.
func quote(text string) string {
	if r := []rune(text); len(r) > mostShown {
		return strconv.Quote(string(r[:mostShown])) + "…"
	}
	return strconv.Quote(text)
}

// excerpt gives the part of the text around the column, fit for a terminal,
// and how many characters of it stand before the column.
func (e *SyntaxError) excerpt() (line string, before int) {
	r := []rune(e.Text)
	at := min(max(e.Column-1, 0), len(r))
	from, to := max(at-mostShown, 0), min(at+mostShown, len(r))
	var b strings.Builder
	if from > 0 {
		b.WriteRune('…')
		before++
	}
	for _, c := range r[from:to] {
		if !unicode.IsPrint(c) {
			c = ' '
		}
		b.WriteRune(c)
	}
	if to < len(r) {
		b.WriteRune('…')
	}
	return b.String(), before + at - from
}

// alternatives joins words as a sentence does.
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
