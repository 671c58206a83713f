package filter

import "cmp"

// Op compares a value of a socket with one of the filter.
type Op uint8

// The comparisons.
const (
	Eq Op = iota
	Ne
	Lt
	Gt
	Le
	Ge
)

var opSigns = [...]string{Eq: "=", Ne: "!=", Lt: "<", Gt: ">", Le: "<=", Ge: ">="}

// String gives the comparison's sign.
func (o Op) String() string { return opSigns[min(o, Ge)] }

// opWords holds what ss takes for each comparison.
var opWords = map[string]Op{
	"=": Eq, "==": Eq, "eq": Eq,
	"!=": Ne, "ne": Ne, "neq": Ne,
	"<": Lt, "lt": Lt,
	">": Gt, "gt": Gt,
	"<=": Le, "le": Le, "leq": Le,
	">=": Ge, "ge": Ge, "geq": Ge,
}

func compare[T cmp.Ordered](a T, o Op, b T) bool {
	switch o {
	case Eq:
		return a == b
	case Ne:
		return a != b
	case Lt:
		return a < b
	case Gt:
		return a > b
	case Le:
		return a <= b
	}
	return a >= b
}
