package source

import (
	"errors"
	"maps"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
)

// What does not show from outside of a namespace, and what of that has no descriptor.
const (
	outside = "settings, and sockets that no process holds"
	unheld  = "sockets that no process holds"
)

// telling is how far an observer was told of a namespace.
type telling uint8

const (
	untold  telling = iota
	doubted         // that it may be kept by descriptors was not told
	told
)

// locked says that a namespace could not be entered. Where nothing leads to it any more
// it has ended with all that was in it, unless a later pass meets its sockets.
func (r *round) locked(f netns.Found, entry error) {
	gone := errors.Is(entry, netns.ErrGone)
	r.gone[f.ID], r.partial[f.ID] = gone, !gone
	r.missed(f, outside, entry)
}

// ended tells whether what was met of a namespace is no proof that it is still there.
func (r *round) ended(id tcpvet.NetnsID) bool { return r.gone[id] && !r.later }

// unrested says that what no descriptor holds could not be read in a namespace.
func (r *round) unrested(f netns.Found, err error) {
	r.partial[f.ID] = true
	r.gap(f, unheld, err)
}

// named gives a namespace as it was found.
func (r *round) named(id tcpvet.NetnsID) tcpvet.Netns {
	n := tcpvet.Netns{ID: id}
	for _, f := range r.found {
		if f.ID == id {
			n.Names = f.Names
		}
	}
	return n
}

// strange tells of a namespace that was not found, or not entered, of which a pass has
// sockets.
func (r *round) strange(id tcpvet.NetnsID) {
	before := r.spaces[id]
	if before == told {
		return
	}
	n := r.named(id)
	if before == untold {
		r.o.Netns(n)
	}
	if r.ended(id) {
		r.spaces[id] = doubted
		return
	}
	r.spaces[id] = told
	if r.partial[id] {
		return
	}
	err := "only descriptors or threads keep the namespace, so that it cannot be entered"
	if r.hidden {
		err = "the namespace cannot be entered: only descriptors or threads keep it, or processes whose namespaces may not be read"
	}
	r.o.Gap(tcpvet.Gap{What: outside, Where: "netns " + n.Name(), Netns: id, Err: err})
}

// subflows tells of the MPTCP sockets that a pass over descriptors met, where what is
// below them was not read.
func (r *round) subflows(met map[tcpvet.NetnsID]int) {
	for _, id := range slices.Sorted(maps.Keys(met)) {
		if !r.wants(id) || r.read[id] && !r.partial[id] || r.ended(id) {
			continue
		}
		r.strange(id)
		space := r.named(id)
		r.o.Gap(tcpvet.Gap{
			What: "listeners and connections of MPTCP", Where: "netns " + space.Name(), Netns: id, Count: met[id],
			Err: "processes hold MPTCP sockets there, and what these listen and connect by shows only inside of the namespace",
		})
	}
}
