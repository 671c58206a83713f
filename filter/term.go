package filter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// termWords are the words that begin a term.
var termWords = func() []string {
	words := []string{"state", "exclude", "src", "dst", "sport", "dport", "role", "timer", "age"}
	for _, q := range quantities {
		words = append(words, q.word)
	}
	return words
}()

// language is which terms a filter may have.
type language struct {
	words []string // that begin a term

	// What may stand where a term has to, where one may follow another,
	// and where a parenthesis may close.
	before, after, inside []string

	refused map[string]string // words that it leaves out, and why
	noLinks string            // why it leaves out the link of an address; "" where it does not
}

func languageOf(words []string, refused map[string]string) *language {
	before := slices.Concat(words, []string{"not", `"("`})
	after := slices.Concat([]string{"and", "or"}, before)
	return &language{
		words: words, before: before, after: after,
		inside: slices.Concat([]string{`")"`}, after), refused: refused,
	}
}

// sockets is the language of filters of sockets.
var sockets = languageOf(termWords, unsupported)

// unsupported holds the terms of ss that a Socket has nothing to judge by.
var unsupported = map[string]string{
	"dev":       `"dev" is not supported: an interface's number means another one in each namespace, and most sources do not tell it`,
	"fwmark":    `"fwmark" is not supported: no source tells the mark of a socket`,
	"autobound": `"autobound" is not supported: no source tells how a port was chosen; compare it with the range: sport >= 32768`,
}

// atState tells whether a run of state words begins here.
func (p *parser) atState() bool {
	if p.tok.kind != word {
		return false
	}
	switch lower(p.tok.text) {
	case "state", "exclude", "excl":
		return true
	}
	return false
}

// term reads a term; the present token is its first word.
func (p *parser) term() Expr {
	if p.terms++; p.terms > maxTerms {
		p.failWith(nil, fmt.Sprintf("more than %d terms", maxTerms))
	}
	p.refuse()
	if p.atState() {
		return p.states()
	}
	name := lower(p.tok.text)
	p.advance()
	switch name {
	case "src":
		return p.host(Local)
	case "dst":
		return p.host(Remote)
	case "sport":
		return p.port(Local)
	case "dport":
		return p.port(Remote)
	case "role":
		return named(p, roles, func(r tcpvet.Role) Expr { return RoleIs(r) })
	case "timer":
		return named(p, timers, func(k tcpvet.TimerKind) Expr { return TimerIs(k) })
	case "age":
		return p.age()
	}
	for q := range Cgroup + 1 {
		if q.String() == name {
			return p.number(q)
		}
	}
	panic("filter: no reader for the term " + name)
}

// states reads a run of state and exclude words. Like ss it takes each as it
// comes: the first one sets out from none, or from all where it excludes.
func (p *parser) states() Expr {
	var set tcpvet.StateSet
	for first := true; p.atState(); first = false {
		exclude := lower(p.tok.text) != "state"
		if first && exclude {
			set = tcpvet.AllStates
		}
		p.advance()
		t := p.value(stateWords...)
		s, ok := parseStates(t.text)
		if !ok {
			p.reject(t, "", stateWords...)
		}
		if exclude {
			set &^= s
		} else {
			set |= s
		}
	}
	return StateIn(set)
}

// op takes a comparison if one comes next; Eq where it is left out.
func (p *parser) op() Op {
	o, ok := opWords[lower(p.tok.text)]
	if ok && (p.tok.kind == sign || p.tok.kind == word) {
		p.advance()
		return o
	}
	return Eq
}

// equality takes = or != if one comes next.
func (p *parser) equality() Op {
	t := p.tok
	o := p.op()
	if o != Eq && o != Ne {
		p.reject(t, "", "=", "!=")
	}
	return o
}

// unless negates e if o is Ne.
func unless(o Op, e Expr) Expr {
	if o == Ne {
		return Not{e}
	}
	return e
}

func (p *parser) host(e End) Expr {
	const expected = "an address such as 10.0.0.1, 10.0.0.0/8, 10.0.0.1:80, [2001:db8::1]:80, :80 or *"
	o := p.equality()
	t := p.value(expected)
	h, reason := parseHost(t.text)
	if reason != "" {
		p.reject(t, reason, expected)
	}
	if h.Link != 0 && p.noLinks != "" {
		p.reject(t, p.noLinks)
	}
	h.End = e
	return unless(o, h)
}

func (p *parser) port(e End) Expr {
	const expected = "a port such as :80, 80 or :https"
	o := p.op()
	t := p.value(expected)
	text := strings.TrimPrefix(t.text, ":")
	if anyPort(text) {
		if o != Eq && o != Ne {
			p.reject(t, "", expected)
		}
		return unless(o, Host{End: e})
	}
	port, reason := parsePort(text)
	if reason != "" {
		p.reject(t, reason, expected)
	}
	return Port{e, o, port}
}

func (p *parser) number(q Quantity) Expr {
	o := p.op()
	expected := quantities[q].expects
	t := p.value(expected)
	v, ok := parseNumber(t.text, quantities[q].limit)
	if !ok {
		p.reject(t, "", expected)
	}
	return Number{q, o, v}
}

func (p *parser) age() Expr {
	const expected = "a duration such as 90s, 5m or 1h30m"
	o := p.op()
	t := p.value(expected)
	d, err := time.ParseDuration(t.text)
	if err != nil || d < 0 {
		p.reject(t, "", expected)
	}
	return AgeIs{o, d}
}

// named reads one of a few words, each the String of a value.
func named[T fmt.Stringer](p *parser, values []T, expr func(T) Expr) Expr {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = v.String()
	}
	o := p.equality()
	t := p.value(words...)
	for i, w := range words {
		if w == lower(t.text) {
			return unless(o, expr(values[i]))
		}
	}
	p.reject(t, "", words...)
	return nil
}
