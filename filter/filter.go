// Package filter is the language in which a command says which sockets it is
// about: a superset of the filters of ss(8).
//
//	state close-wait dst 10.0.3.7:8080
//	( sport = :https or sport = :8443 ) and not src 127.0.0.0/8
//	role client age > 5m and recvq > 0
//
// # Terms
//
//	state X, exclude X         X is any spelling that tcpvet.ParseState takes, or
//	                           all, connected, synchronized, bucket, big
//	src HOST, dst HOST         10.0.0.1  10.0.0.0/8  10/8  10.0.0.1:80  [2001:db8::1]:80
//	                           [2001:db8::/32]  [fe80::1%2]:80  :80  *:80  *
//	sport OP PORT, dport OP PORT  a number, :number, or a service of /etc/services
//	recvq OP N, sendq OP N     bytes; of a listener, connections, as the columns show them
//	age OP D                   time in the state, for ESTAB time idle: 90s, 5m, 1h30m
//	retrans OP N               segments or probes sent in vain, as in the timer column
//	uid, inode, cookie, cgroup OP N
//	role client|server
//	timer on|off|keepalive|timewait|persist
//
// OP is = == != < > <= >= or eq ne neq lt gt le leq ge geq, and = where it is
// left out.
//
// # Joining terms
//
// not (or !) binds tightest, then and (or &, &&, or nothing at all), then or
// (or |, ||), as the manual page of ss has it. The program ss itself, as of
// iproute2 6.1, gives "and" and "or" the same rank and reads from the left: "a
// or b and c" needs parentheses to mean the same to both. Parentheses may touch
// words.
//
// A run of state and exclude words is one term: "state a state b" is their
// union, "exclude" takes away, and a run that begins with "exclude" begins with
// all states. A run that opens the filter, or a parenthesis, and is followed by
// a term without an operator restricts all that follows, as it does for ss:
// "state a src X or src Y" is "state a and (src X or src Y)". Anywhere else a
// run is a term like others.
//
// # Three answers
//
// What a source did not tell about a socket is unknown: a term about it is
// neither true nor false, nor is its negation. A socket whose owner was not
// told is matched by neither "uid = 0" nor "not uid = 0". The operators follow
// Kleene's logic: unknown or true is true, unknown and false is false. State,
// addresses and ports are always known, the link of an address is not.
//
// # Addresses
//
// An IPv4 address or prefix matches IPv4-mapped IPv6 addresses too, an IPv6
// one matches only IPv6 sockets, mapped ones included, as in the kernel
// (net/ipv4/inet_diag.c, inet_diag_bc_run).
//
// A link-local address means another neighbour on each link. As in ss, it stands
// for all of them; with the number of a link, which ss prints as a name and does
// not read, for the one on that link: [fe80::1%2].
package filter

import (
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Filter selects sockets. The zero value and nil select all. It does not
// change once it is made and may be used from many goroutines.
type Filter struct {
	expr     Expr
	states   tcpvet.StateSet
	needs    tcpvet.Facts
	bytecode []byte
}

// New gives the filter that selects the sockets for which e is True.
func New(e Expr) *Filter {
	return &Filter{expr: e, states: e.reach().yes, needs: e.needs(), bytecode: compile(e)}
}

// Parse reads a filter from the arguments of a command: joined by spaces, so
// that it does not matter how a shell has split them. No arguments, or empty
// ones, give the filter that selects all. An error is a *SyntaxError.
func Parse(args []string) (*Filter, error) {
	text := strings.Join(args, " ")
	e, err := sockets.parse(text)
	if err != nil {
		return nil, err
	}
	return New(e), nil
}

// Match tells whether the filter selects s. It does not allocate.
func (f *Filter) Match(s *tcpvet.Socket) bool { return f.Judge(s) == True }

// Judge is True for a socket that the filter selects, and Unknown for one of which
// the source did not tell enough to say. It does not allocate.
func (f *Filter) Judge(s *tcpvet.Socket) Truth {
	if f == nil || f.expr == nil {
		return True
	}
	return f.expr.Judge(s)
}

// All tells whether the filter was made to select all sockets: whether it is
// empty.
func (f *Filter) All() bool {
	if f == nil || f.expr == nil {
		return true
	}
	e, ok := f.expr.(And)
	return ok && len(e) == 0
}

// Expr is what the filter was made of; an empty And for one that selects all.
func (f *Filter) Expr() Expr {
	if f == nil || f.expr == nil {
		return And{}
	}
	return f.expr
}

// States gives a set that holds the state of every socket that can match. It
// is 0 where none can; beware that source.Query and the kernel read a set of 0
// as all.
func (f *Filter) States() tcpvet.StateSet {
	if f == nil || f.expr == nil {
		return tcpvet.AllStates
	}
	return f.states
}

// Needs names the facts that the filter looks at. Where a source does not have
// one of them, a term can still be known of some sockets.
func (f *Filter) Needs() tcpvet.Facts {
	if f == nil {
		return 0
	}
	return f.needs
}

// Wants names the facts that are worth an effort to a source: Needs, and what makes
// the answer better where the source has it. By tcp_info a connection shows that it
// was accepted from a listener that was closed since; roles are told without it too.
func (f *Filter) Wants() tcpvet.Facts {
	if holds(f.Expr(), func(e Expr) bool { _, is := e.(RoleIs); return is }) {
		return f.Needs() | tcpvet.FactInfo
	}
	return f.Needs()
}

// NamesLink tells that the filter asks for the link of an address. No fact stands
// for it: a source may tell the links of some sockets, and one that it does not tell
// is no different from none (Socket.Interface is 0).
func (f *Filter) NamesLink() bool {
	return holds(f.Expr(), func(e Expr) bool { h, is := e.(Host); return is && h.Link != 0 })
}

// Bytecode gives a program for the attribute INET_DIAG_REQ_BYTECODE with which
// the kernel leaves out sockets that cannot match; nil where it can judge
// nothing of the filter. The kernel may still send sockets that do not match:
// it knows nothing of states here (States is for these) nor of the terms that
// ss does not have. The caller must not change it.
func (f *Filter) Bytecode() []byte {
	if f == nil {
		return nil
	}
	return f.bytecode
}

// String gives the filter in a canonical form, which Parse reads as an
// equivalent filter; "" for one that selects all.
func (f *Filter) String() string {
	if f.All() {
		return ""
	}
	return f.expr.String()
}
