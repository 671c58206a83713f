package fold

import "github.com/tcpvet/tcpvet"

// Group adds sockets that somebody else has counted: all of them count as seen
// and as selected, so the fold must have no Select. t stays the caller's.
//
// The bounds hold as if the sockets had come one by one: what is heavier than the
// stated error is never missing.
func (f *Folder) Group(g tcpvet.Group, t *tcpvet.Tally) {
	n := t.Total()
	if n == 0 {
		return
	}
	f.census.Sockets += n
	f.census.Selected += n
	f.groups.get(g).Merge(t)
}

// Tuple adds ports that somebody else has counted. b stays the caller's.
func (f *Folder) Tuple(t tcpvet.Tuple, b *tcpvet.Budget) {
	if budgetWeight(b) > 0 {
		f.tuples.get(t).Merge(b)
	}
}

// Bound notes a local port of the namespace that bind() keeps from automatic
// choice.
func (f *Folder) Bound(id tcpvet.NetnsID, port uint16) { f.space(id).take(f, port) }
