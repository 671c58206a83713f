package bpfiter

import (
	"cmp"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// shared gathers the sockets that several descriptors may hold, by cookie.
type shared struct {
	sockets map[uint64]*sharing
	order   []uint64 // as they came
	changed uint64   // told before, by a process that passed them on
}

type sharing struct {
	socket  tcpvet.Socket
	holders holders
}

type holder struct {
	tcpvet.Process
	born uint64 // ns after boot
}

func (s *shared) add(r *record) {
	e := s.sockets[r.Cookie]
	if e == nil {
		if r.flags&flagTold != 0 {
			s.changed++
			return
		}
		if s.sockets == nil {
			s.sockets = make(map[uint64]*sharing)
		}
		e = &sharing{socket: r.Socket}
		s.sockets[r.Cookie] = e
		s.order = append(s.order, r.Cookie)
	}
	e.holders.add(r)
}

// holders are the processes that hold one file, once each.
type holders []holder

func (h *holders) add(r *record) {
	p := holder{r.Holder, r.born}
	if !slices.Contains(*h, p) {
		*h = append(*h, p)
	}
}

// inOrder gives the process that started first, and the others. A child of the same
// clock tick comes after its parent.
func (h holders) inOrder() (first tcpvet.Process, others []tcpvet.Process) {
	slices.SortFunc(h, func(a, b holder) int {
		return cmp.Or(cmp.Compare(a.born, b.born), cmp.Compare(a.PID, b.PID))
	})
	for _, p := range h[1:] {
		others = append(others, p.Process)
	}
	return h[0].Process, others
}

// each hands over the sockets, each with the process that started first, and
// forgets them.
func (s *shared) each(yield func(*tcpvet.Socket) error) error {
	for _, cookie := range s.order {
		e := s.sockets[cookie]
		e.socket.Holder, e.socket.SharedWith = e.holders.inOrder()
		if err := yield(&e.socket); err != nil {
			return err
		}
	}
	s.sockets, s.order = nil, nil
	return nil
}
