package procfs

import (
	"cmp"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// leftSocket is a socket that no table named.
type leftSocket struct {
	inode uint64
	fd    uint32
	proc  uint32 // the process whose descriptor fd is
	first tcpvet.Process
}

// left gives the sockets that Lookup was not asked for, of any family, by process
// and then by inode.
func (h *Holders) left(of func(tcpvet.Process) bool) []leftSocket {
	var all []leftSocket
	wanted := make(map[tcpvet.Process]bool)
	for i, fd := range h.fds {
		e := h.slots[i]
		if e == 0 || fd == inTable {
			continue
		}
		n := uint32(e)
		s := leftSocket{inode: e >> 32, fd: fd}
		for at := n; at != none; at = h.sets[at].less {
			s.proc = h.sets[at].last // in the end the one that was seen first
		}
		s.first = h.procs[s.proc].Process
		if m := h.members[n]; m != nil {
			s.first = m[0]
		}
		want, known := wanted[s.first]
		if !known {
			want = of == nil || of(s.first)
			wanted[s.first] = want
		}
		if want {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b leftSocket) int {
		return cmp.Or(cmp.Compare(a.proc, b.proc), cmp.Compare(a.inode, b.inode))
	})
	return all
}
