package source

// Kinds are the words that Open knows.
var Kinds = []string{"auto", "bpf", "netlink", "procfs"}

// choice is a Source that looks by the one of several that suits a query.
type choice interface {
	// settle gives the source that looks for q, having made sure that it can.
	settle(q Query) Source

	// reason says why the last look was by the source that it was by.
	reason() string
}

// Settle gives the source by which src looks for q: its name and facts are those of
// the look. Where src is no choice of several that is src.
func Settle(src Source, q Query) Source {
	if c, ok := src.(choice); ok {
		return c.settle(q)
	}
	return src
}

// Why says why the last look by src was by the source that its Name tells, "" where
// there was no choice.
func Why(src Source) string {
	if c, ok := src.(choice); ok {
		return c.reason()
	}
	return ""
}
