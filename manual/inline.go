package manual

import (
	"slices"
	"strings"
)

// A mark says how a span of running text is set off.
type mark uint8

const (
	plain mark = iota
	code
	strong
	stressed
)

// span is a piece of running text under one mark.
type span struct {
	mark mark
	text string
}

// spans splits running text by its marks. A mark that is not closed is text.
func spans(s string) []span {
	var out []span
	add := func(m mark, text string) {
		if text != "" {
			out = append(out, span{m, text})
		}
	}
	start := 0
	for i := 0; i < len(s); {
		m, open := markAt(s, i)
		if m == plain {
			i++
			continue
		}
		end := closing(s, i+len(open), open)
		if end < 0 {
			i += len(open)
			continue
		}
		add(plain, s[start:i])
		add(m, s[i+len(open):end])
		i = end + len(open)
		start = i
	}
	add(plain, s[start:])
	return out
}

// markAt tells which mark opens at s[i:], plain for none. A star opens one
// only where a word begins, so that 9 * 75 stays a product.
func markAt(s string, i int) (m mark, open string) {
	switch {
	case s[i] == '`':
		return code, "`"
	case strings.HasPrefix(s[i:], "**"):
		m, open = strong, "**"
	case s[i] == '*':
		m, open = stressed, "*"
	default:
		return plain, ""
	}
	if next := i + len(open); next >= len(s) || s[next] == ' ' || s[next] == '*' {
		return plain, ""
	}
	return m, open
}

// closing finds where the mark that opened before s[from:] closes, -1 for
// nowhere.
func closing(s string, from int, open string) int {
	for i := from; i < len(s); i++ {
		if !strings.HasPrefix(s[i:], open) {
			continue
		}
		if i > from && (open == "`" || s[i-1] != ' ') {
			return i
		}
	}
	return -1
}

// word is what a line is never broken inside of: pieces of text without a
// space between them, or a span of code.
type word []span

func (w word) width() int {
	n := 0
	for _, s := range w {
		n += runes(s.text)
	}
	return n
}

// words splits running text where a line may be broken. Code stays whole up to
// a width of limit, since it is there to be copied.
func words(s string, limit int) []word {
	var out []word
	var now word
	flush := func() {
		if len(now) > 0 {
			out = append(out, now)
			now = nil
		}
	}
	for _, sp := range spans(s) {
		if sp.mark == code && runes(sp.text) <= limit {
			now = append(now, sp)
			continue
		}
		rest := sp.text
		if sp.mark != code {
			rest = keepUnits(rest)
		}
		for rest != "" {
			if rest[0] == ' ' || rest[0] == '\n' || rest[0] == '\t' {
				flush()
				rest = rest[1:]
				continue
			}
			end := strings.IndexAny(rest, " \n\t")
			if end < 0 {
				end = len(rest)
			}
			now = append(now, span{sp.mark, strings.ReplaceAll(rest[:end], hardSpace, " ")})
			rest = rest[end:]
		}
	}
	flush()
	return out
}

// hardSpace is a space at which no line is broken.
const hardSpace = "\u00a0"

// units follow a number in the same line.
var units = [...]string{"s", "ms", "us", "min", "h", "%", "GB", "MB", "kB", "bytes"}

// keepUnits puts a hard space between each number and its unit.
func keepUnits(s string) string {
	tokens := strings.Split(s, " ")
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 {
			if isNumber(tokens[i-1]) && slices.Contains(units[:], strings.TrimRight(t, ".,;:)")) {
				b.WriteString(hardSpace)
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(t)
	}
	return b.String()
}

func isNumber(s string) bool {
	return s != "" && '0' <= s[len(s)-1] && s[len(s)-1] <= '9' && strings.Trim(s, "0123456789.,-(+") == ""
}

// unmarked gives running text without its marks.
func unmarked(s string) string {
	var b strings.Builder
	for _, sp := range spans(s) {
		b.WriteString(sp.text)
	}
	return b.String()
}

// runes is the width of s in a terminal, good for the scripts that the manual
// is written in.
func runes(s string) int {
	n := 0
	for range s {
		n++
	}
	return n
}
