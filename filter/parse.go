package filter

import (
	"fmt"
	"slices"
)

// Bounds of what is read, far above what anybody writes: they keep the reading
// and the judging of a hostile filter cheap.
const (
	maxText  = 1 << 20 // bytes
	maxTerms = 1000
	maxDepth = 100 // parentheses and nots within each other
)

// parser reads a filter by recursive descent, one token ahead.
type parser struct {
	*language
	text  string
	tok   token
	terms int
	depth int
}

// parse reads the whole text; e is And{} for an empty one.
func (l *language) parse(text string) (e Expr, err error) {
	p := &parser{language: l, text: text}
	if len(text) > maxText {
		return nil, &SyntaxError{
			Column: column(text, maxText), Text: text[:maxText],
			Reason: fmt.Sprintf("the filter is longer than %d bytes", maxText),
		}
	}
	// A syntax error leaves the descent as a panic of this type alone.
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *SyntaxError:
			e, err = nil, r
		default:
			panic(r)
		}
	}()
	p.advance()
	if p.tok.kind == end {
		return And{}, nil
	}
	e = p.group()
	if p.tok.kind != end {
		p.fail(p.after)
	}
	return e, nil
}

func (p *parser) advance() { p.tok = next(p.text, p.tok.at+len(p.tok.text)) }

// fail ends the reading at the present token.
func (p *parser) fail(expected []string) { p.failWith(expected, "") }

func (p *parser) failWith(expected []string, reason string) {
	panic(&SyntaxError{
		Column: column(p.text, p.tok.at), Text: p.text, Got: p.tok.text,
		Expected: expected, Meant: near(p.tok.text, expected), Reason: reason,
	})
}

// deeper counts a level of nesting.
func (p *parser) deeper() {
	if p.depth++; p.depth > maxDepth {
		p.failWith(nil, fmt.Sprintf("more than %d levels of parentheses and nots", maxDepth))
	}
}

// group reads what a filter or a parenthesis holds: where it begins with a run
// of state words and goes on without an operator, the run restricts the rest.
func (p *parser) group() Expr {
	if !p.atState() {
		return p.or(nil)
	}
	run := p.term()
	if p.tok.kind != word && p.tok.kind != open && p.tok.kind != not {
		return p.or(run)
	}
	p.deeper()
	rest := p.or(nil)
	p.depth--
	if all, ok := rest.(And); ok {
		return append(And{run}, all...)
	}
	return And{run, rest}
}

// or reads parts joined by "or"; first is one that was read already, or nil.
func (p *parser) or(first Expr) Expr {
	parts := Or{p.and(first)}
	for p.tok.kind == or {
		p.advance()
		parts = append(parts, p.and(nil))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return parts
}

// and reads parts joined by "and" or by nothing.
func (p *parser) and(first Expr) Expr {
	if first == nil {
		first = p.not(p.before)
	}
	parts := And{first}
	for {
		switch p.tok.kind {
		case and:
			p.advance()
			parts = append(parts, p.not(p.before))
			continue
		case word, open, not:
			parts = append(parts, p.not(p.after))
			continue
		}
		if len(parts) == 1 {
			return parts[0]
		}
		return parts
	}
}

// not reads a term, a negation or a parenthesis.
func (p *parser) not(expected []string) Expr {
	switch p.tok.kind {
	case not:
		p.deeper()
		p.advance()
		e := Not{p.not(p.before)}
		p.depth--
		return e
	case open:
		p.deeper()
		p.advance()
		e := p.group()
		if p.tok.kind != shut {
			p.fail(p.inside)
		}
		p.advance()
		p.depth--
		return e
	case word:
		if t := lower(p.tok.text); slices.Contains(p.words, t) || p.atState() {
			return p.term()
		}
		p.refuse()
	}
	p.fail(expected)
	return nil
}

// refuse ends the reading at a word that the language leaves out for a reason.
func (p *parser) refuse() {
	if reason, ok := p.refused[lower(p.tok.text)]; ok {
		p.failWith(nil, reason)
	}
}

// value gives the text of a word that has to come next, and takes it; expected
// says what it has to be.
func (p *parser) value(expected ...string) token {
	if p.tok.kind != word {
		p.fail(expected)
	}
	t := p.tok
	p.advance()
	return t
}

// reject ends the reading at a value that was taken.
func (p *parser) reject(t token, reason string, expected ...string) {
	p.tok = t
	p.failWith(expected, reason)
}
