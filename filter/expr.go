package filter

import (
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Expr is a condition on sockets: And, Or, Not, or a term, which is one of
// StateIn, Host, Port, Number, AgeIs, RoleIs, TimerIs. The set of its types is
// closed, so that a switch over them can be whole.
type Expr interface {
	// String gives the condition as Parse reads it.
	String() string

	// Judge tells whether the condition holds for the socket.
	Judge(*tcpvet.Socket) Truth

	reach() reach
	needs() tcpvet.Facts
}

// And holds where all of its parts do. Without parts it always holds.
type And []Expr

// Or holds where one of its parts does. Without parts it never holds.
type Or []Expr

// Not holds where X is False.
type Not struct{ X Expr }

// reach holds the states of the sockets for which a condition can be True
// (yes) and False (no). Both may name more states than that, never fewer.
type reach struct{ yes, no tcpvet.StateSet }

var anywhere = reach{tcpvet.AllStates, tcpvet.AllStates}

// Judge is False as soon as one part is.
func (e And) Judge(s *tcpvet.Socket) Truth {
	t := True
	for _, x := range e {
		if t = min(t, x.Judge(s)); t == False {
			break
		}
	}
	return t
}

// Judge is True as soon as one part is.
func (e Or) Judge(s *tcpvet.Socket) Truth {
	t := False
	for _, x := range e {
		if t = max(t, x.Judge(s)); t == True {
			break
		}
	}
	return t
}

// Judge is the opposite of X, Unknown where X is.
func (e Not) Judge(s *tcpvet.Socket) Truth { return e.X.Judge(s).Not() }

func (e And) reach() reach {
	r := reach{yes: tcpvet.AllStates}
	for _, x := range e {
		o := x.reach()
		r.yes &= o.yes
		r.no |= o.no
	}
	return r
}

func (e Or) reach() reach {
	r := reach{no: tcpvet.AllStates}
	for _, x := range e {
		o := x.reach()
		r.yes |= o.yes
		r.no &= o.no
	}
	return r
}

func (e Not) reach() reach {
	r := e.X.reach()
	return reach{yes: r.no, no: r.yes}
}

func (e And) needs() tcpvet.Facts { return needs(e) }
func (e Or) needs() tcpvet.Facts  { return needs(e) }
func (e Not) needs() tcpvet.Facts { return e.X.needs() }

// holds tells whether a term for which is is true stands anywhere in e.
func holds(e Expr, is func(Expr) bool) bool {
	inside := func(x Expr) bool { return holds(x, is) }
	switch e := e.(type) {
	case And:
		return slices.ContainsFunc(e, inside)
	case Or:
		return slices.ContainsFunc(e, inside)
	case Not:
		return inside(e.X)
	}
	return is(e)
}

func needs(parts []Expr) tcpvet.Facts {
	var f tcpvet.Facts
	for _, x := range parts {
		f |= x.needs()
	}
	return f
}

// The ranks of the operators, loosest first.
const (
	rankOr = iota
	rankAnd
	rankNot
	rankTerm
)

// String joins the parts by "and"; an empty And is "src *".
func (e And) String() string {
	if len(e) == 0 {
		return Host{}.String()
	}
	return join(e, " and ", rankAnd)
}

// String joins the parts by "or"; an empty Or is "not src *".
func (e Or) String() string {
	if len(e) == 0 {
		return Not{And{}}.String()
	}
	return join(e, " or ", rankOr)
}

func (e Not) String() string { return "not " + enclosed(e.X, rankNot) }

func join(parts []Expr, operator string, r int) string {
	if len(parts) == 1 {
		return parts[0].String()
	}
	var b strings.Builder
	for i, x := range parts {
		if i > 0 {
			b.WriteString(operator)
		}
		b.WriteString(enclosed(x, r))
	}
	return b.String()
}

// enclosed gives e in parentheses where it binds less than an operand of an
// operator of rank r has to.
func enclosed(e Expr, r int) string {
	if rank(e) < r {
		return "(" + e.String() + ")"
	}
	return e.String()
}

func rank(e Expr) int {
	switch e := e.(type) {
	case And:
		switch len(e) {
		case 0:
			return rankTerm
		case 1:
			return rank(e[0])
		}
		return rankAnd
	case Or:
		switch len(e) {
		case 0:
			return rankNot
		case 1:
			return rank(e[0])
		}
		return rankOr
	case Not:
		return rankNot
	}
	return rankTerm
}
