package filter

// Truth is the answer of a term about a socket.
type Truth uint8

// The answers, ordered so that "and" is the least and "or" the greatest.
const (
	False Truth = iota
	Unknown
	True
)

// String gives the answer's word.
func (t Truth) String() string { return [...]string{"false", "unknown", "true"}[min(t, True)] }

// Not swaps True and False and leaves Unknown.
func (t Truth) Not() Truth { return True - t }

func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}
