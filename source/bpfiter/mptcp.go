package bpfiter

import "github.com/tcpvet/tcpvet"

// mptcp is who holds MPTCP sockets. A descriptor of that protocol is of no TCP
// socket: its listener and its connections are, the subflows, and they show the
// descriptor's inode as inet_diag does.
type mptcp struct {
	byInode map[uint64]holders
	spaces  map[tcpvet.NetnsID]int // how many sockets by namespace
	bound   []tcpvet.Socket        // merely bound: no other pass comes by these
}

// add adds a holder. With bound it keeps a merely bound socket too.
func (m *mptcp) add(r *record, bound bool) {
	if m.byInode == nil {
		m.byInode, m.spaces = make(map[uint64]holders), make(map[tcpvet.NetnsID]int)
	}
	h := m.byInode[r.Inode]
	// A closed one has nothing that another pass could come by.
	if len(h) == 0 && r.State != tcpvet.BoundInactive {
		m.spaces[r.Netns]++
	}
	if bound && len(h) == 0 && r.State == tcpvet.BoundInactive && r.Local.Port() != 0 {
		m.bound = append(m.bound, r.Socket)
	}
	h.add(r)
	m.byInode[r.Inode] = h
}

// holder gives who holds the socket with that inode: the process that started first,
// and the others. ok is false where no descriptor was seen.
func (m *mptcp) holder(inode uint64) (first tcpvet.Process, others []tcpvet.Process, ok bool) {
	h := m.byInode[inode]
	if inode == 0 || len(h) == 0 {
		return tcpvet.Process{}, nil, false
	}
	first, others = h.inOrder()
	return first, others, true
}

// each hands over the merely bound sockets, and forgets them.
func (m *mptcp) each(yield func(*tcpvet.Socket) error) error {
	for i := range m.bound {
		s := &m.bound[i]
		s.Holder, s.SharedWith, _ = m.holder(s.Inode)
		if err := yield(s); err != nil {
			return err
		}
	}
	m.bound = nil
	return nil
}
