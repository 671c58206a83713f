package dump

import "errors"

var (
	errForeign  = errors.New("it is no line of this dump; leave it out")
	errUnquoted = errors.New("it is not quoted (>), as the dump is, and no line of it; leave it out")
	errAbove    = errors.New("it is no line of the dump below it, which has no header to begin with; leave it out")
)

// end notes that what follows is no part of the dump. runs tells that it is what
// another command printed.
func (p *parser) end(runs bool) { p.ended, p.runs = p.dialect != nil, runs }

// behind takes a line that comes after the end of the dump. more is true for one
// that the dump goes on with: tcp and tcp6 are two files.
func (p *parser) behind(in *lines) (more bool, err error) {
	k, _ := recognise(in.text)
	if n, ok := p.dialect.(*netTCP); ok && k == kindNetTCP && n.misses(in.text) {
		p.ended = false
		return true, nil
	}
	if k != kindNone {
		return false, p.another(in, k)
	}
	if _, runs, ok := typed(in.text); ok {
		p.runs = runs
		return false, nil
	}
	if p.runs || noise(in.text) {
		return false, nil
	}
	return false, p.damage(in, errForeign)
}

// foreign takes a line that the dialect does not know.
func (p *parser) foreign(in *lines) error {
	if noise(in.text) {
		return nil
	}
	if k, _ := recognise(in.text); k != kindNone {
		return p.another(in, k)
	}
	if _, runs, ok := typed(in.text); ok {
		p.end(runs)
		return nil
	}
	return p.damage(in, errForeign)
}

// unquoted takes a line that has not the marks of quotation that those of the
// dump have: blank, or not of the dump.
func (p *parser) unquoted(in *lines) error {
	rest, _ := unquote(in.text, quoted(in.text))
	switch w := (words{rest: rest}); {
	case len(w.next()) == 0:
		return nil
	case p.second != nil:
		p.ignored++
		return nil
	}
	return p.damage(in, errUnquoted)
}

// noise knows what the commands say beside their output.
func noise(b []byte) bool {
	for _, start := range [...]string{
		"RTNETLINK answers:", "Failed to find cgroup2 mount", "Failed to open cgroup2", "Cannot open netlink socket:",
		"(Not all processes could be identified", "(No info could be read for", " will not be shown, you would have to",
		"lsof: WARNING:", "      Output information may be incomplete", "netstat: no support for",
	} {
		if len(b) >= len(start) && string(b[:len(start)]) == start {
			return true
		}
	}
	return false
}

// fence knows what holds code in Markdown, in Jira and in HTML, by the first word
// of the line.
func fence(first []byte) bool {
	switch first[0] {
	case '`', '~', '{', '<':
	default:
		return false
	}
	for _, start := range [...]string{"```", "~~~", "{noformat", "{code", "<pre>", "</pre>"} {
		if len(first) >= len(start) && string(first[:len(start)]) == start {
			return true
		}
	}
	return false
}

// unquote takes off so many of the marks that mail puts before each line of what
// it quotes: "> ". ok is false where the line has fewer.
func unquote(b []byte, marks int) (rest []byte, ok bool) {
	rest = b
	for range marks {
		if len(rest) == 0 || rest[0] != '>' {
			return b, false
		}
		if rest = rest[1:]; len(rest) > 0 && rest[0] == ' ' {
			rest = rest[1:]
		}
	}
	return rest, true
}

// quoted counts the marks of a quotation before the line.
func quoted(b []byte) (marks int) {
	for len(b) > 0 && b[0] == '>' {
		b, _ = unquote(b, 1)
		marks++
	}
	return marks
}
