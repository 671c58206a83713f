package procfs

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// Holders tells which processes hold a socket. It takes 8 bytes for each
// socket, at a load between 3/8 and 3/4: 16 MB for a million, and half as much
// again where descriptors are kept. Once filled it may be read by several
// goroutines, unless descriptors are kept: Lookup then notes what it is asked.
type Holders struct {
	procs []holder
	index map[tcpvet.Process]uint32 // into procs

	// slots is an open-addressing table of inode<<32 | number of a set of
	// holders; 0 is free, since no inode is 0. Sockets have inodes of 32
	// bits (get_next_ino in fs/inode.c); wide has any others.
	slots []uint64
	used  int
	wide  map[uint64]uint32

	// fds holds, beside each of slots, a descriptor in the process that was
	// seen first with the socket; inTable from when Lookup was asked for it.
	// nil where descriptors are not kept.
	fds []uint32

	// sets are the distinct sets of holders, each as another one and the
	// process that came last. So ten thousand listeners that a hundred
	// workers inherited take a hundred sets, not a million entries.
	sets    []set
	grown   map[uint64]uint32 // set<<32 | process: the larger set
	members [][]tcpvet.Process
}

type holder struct {
	tcpvet.Process
	Counts
	parent int32
	alone  uint32 // the set of this process alone
}

type set struct {
	less uint32 // without last; none for a set of one
	last uint32 // into procs
}

const none = 1<<32 - 1

// inTable marks a socket that a table of the kernel named. No descriptor has that
// number.
const inTable = 1<<32 - 1

// Counts are the descriptors of a process.
type Counts struct {
	// Descriptors are the open ones, Sockets those of them that are
	// sockets of any family; 0 where they could not be read.
	Descriptors, Sockets uint64

	// LeaderExited tells that the main thread has ended and others hold
	// the descriptors.
	LeaderExited bool
}

// Lookup gives the process that holds the socket and has started first, and
// the others in the order of their start. Between processes of one clock tick
// an ancestor comes first. others must not be changed. ok is false where no
// process was seen with the socket.
func (h *Holders) Lookup(inode uint64) (first tcpvet.Process, others []tcpvet.Process, ok bool) {
	n, ok := h.find(inode)
	if !ok {
		return tcpvet.Process{}, nil, false
	}
	if s := h.sets[n]; s.less == none {
		return h.procs[s.last].Process, nil, true
	}
	all := h.members[n]
	return all[0], all[1:], true
}

// Counts gives the descriptors of a process; ok is false where it was not seen.
func (h *Holders) Counts(p tcpvet.Process) (c Counts, ok bool) {
	i, ok := h.index[p]
	if !ok {
		return Counts{}, false
	}
	return h.procs[i].Counts, true
}

// Processes gives every process that was seen, also those without sockets.
func (h *Holders) Processes() iter.Seq2[tcpvet.Process, Counts] {
	return func(yield func(tcpvet.Process, Counts) bool) {
		for i := range h.procs {
			if !yield(h.procs[i].Process, h.procs[i].Counts) {
				return
			}
		}
	}
}

// Len is the number of sockets that have a holder.
func (h *Holders) Len() int { return h.used + len(h.wide) }

func newHolders(descriptors bool) *Holders {
	const start = 1 << 10
	h := &Holders{slots: make([]uint64, start), grown: map[uint64]uint32{}}
	if descriptors {
		h.fds = make([]uint32, start)
	}
	return h
}

// process begins the next process and gives its number for add.
func (h *Holders) process(p tcpvet.Process, parent int32) uint32 {
	n := uint32(len(h.procs))
	h.procs = append(h.procs, holder{Process: p, parent: parent, alone: uint32(len(h.sets))})
	h.sets = append(h.sets, set{less: none, last: n})
	return n
}

// add notes that the process that began last holds the socket, by that
// descriptor.
func (h *Holders) add(inode uint64, fd, proc uint32) {
	if inode == 0 {
		return
	}
	if inode > 1<<32-1 {
		if h.wide == nil {
			h.wide = map[uint64]uint32{}
		}
		if s, ok := h.wide[inode]; ok {
			h.wide[inode] = h.grow(s, proc)
		} else {
			h.wide[inode] = h.procs[proc].alone
		}
		return
	}
	i := h.slot(uint32(inode))
	if h.slots[i] != 0 {
		h.slots[i] = inode<<32 | uint64(h.grow(uint32(h.slots[i]), proc))
		return
	}
	h.slots[i] = inode<<32 | uint64(h.procs[proc].alone)
	if h.fds != nil {
		h.fds[i] = fd
	}
	h.used++
	if h.used > len(h.slots)/4*3 {
		h.rehash()
	}
}

// grow gives the set that also has proc.
func (h *Holders) grow(s, proc uint32) uint32 {
	if h.sets[s].last == proc {
		return s // a second descriptor of the same process
	}
	key := uint64(s)<<32 | uint64(proc)
	larger, ok := h.grown[key]
	if !ok {
		larger = uint32(len(h.sets))
		h.sets = append(h.sets, set{less: s, last: proc})
		h.grown[key] = larger
	}
	return larger
}

// slot gives the place of an inode: its own, or the free one where it goes.
func (h *Holders) slot(inode uint32) int {
	// Inodes run in sequence: the multiplier (2^64 over the golden ratio)
	// spreads them.
	shift := 64 - bits.Len(uint(len(h.slots)-1))
	i := int(uint64(inode) * 0x9E3779B97F4A7C15 >> shift)
	for h.slots[i] != 0 && uint32(h.slots[i]>>32) != inode {
		if i++; i == len(h.slots) {
			i = 0
		}
	}
	return i
}

func (h *Holders) rehash() {
	old, fds := h.slots, h.fds
	h.slots = make([]uint64, 2*len(old))
	if fds != nil {
		h.fds = make([]uint32, len(h.slots))
	}
	for n, e := range old {
		if e == 0 {
			continue
		}
		i := h.slot(uint32(e >> 32))
		h.slots[i] = e
		if fds != nil {
			h.fds[i] = fds[n]
		}
	}
}

func (h *Holders) find(inode uint64) (set uint32, ok bool) {
	if inode > 1<<32-1 {
		set, ok = h.wide[inode]
		return set, ok
	}
	if inode == 0 || len(h.slots) == 0 {
		return 0, false
	}
	i := h.slot(uint32(inode))
	e := h.slots[i]
	if h.fds != nil && e != 0 {
		h.fds[i] = inTable
	}
	return uint32(e), e != 0
}

// finish makes the table ready for Lookup. Only sets that a socket has are
// written out: their lengths together are at most the number of descriptors.
func (h *Holders) finish() {
	h.grown = nil
	h.index = make(map[tcpvet.Process]uint32, len(h.procs))
	byPID := make(map[int32]uint32, len(h.procs))
	for i := range h.procs {
		h.index[h.procs[i].Process] = uint32(i)
		byPID[h.procs[i].PID] = uint32(i)
	}
	h.members = make([][]tcpvet.Process, len(h.sets))
	for _, e := range h.slots {
		if e != 0 {
			h.write(uint32(e), byPID)
		}
	}
	for _, s := range h.wide {
		h.write(s, byPID)
	}
}

func (h *Holders) write(n uint32, byPID map[int32]uint32) {
	if h.sets[n].less == none || h.members[n] != nil {
		return
	}
	var all []uint32
	for s := n; s != none; s = h.sets[s].less {
		all = append(all, h.sets[s].last)
	}
	slices.SortFunc(all, func(a, b uint32) int {
		pa, pb := &h.procs[a], &h.procs[b]
		if c := cmp.Compare(pa.Start, pb.Start); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(h.depth(pa, byPID), h.depth(pb, byPID)), cmp.Compare(pa.PID, pb.PID))
	})
	members := make([]tcpvet.Process, len(all))
	for i, p := range all {
		members[i] = h.procs[p].Process
	}
	h.members[n] = members
}

// depth counts the ancestors of a process that started in the same tick. PIDs
// wrap, so they do not tell parent from child.
func (h *Holders) depth(p *holder, byPID map[int32]uint32) int {
	const most = 64 // a PID used again could close a ring
	d := 0
	for d < most {
		i, ok := byPID[p.parent]
		if !ok || h.procs[i].Start != p.Start {
			break
		}
		p = &h.procs[i]
		d++
	}
	return d
}
