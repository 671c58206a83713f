package sockdiag

import "github.com/tcpvet/tcpvet"

const (
	// recentLen bounds how many sockets that enter one bucket between two
	// reads can be caught: one repeat each.
	recentLen = 128
	// recentSlots makes a scan of the ring needless for 97 of 100 sockets.
	recentSlots = 32 * recentLen
	// boundMax bounds the memory for merely bound sockets: one per port.
	boundMax = 1 << 16
)

// recent knows the last sockets of a dump. One costs O(1), and no allocation.
type recent struct {
	cookies [recentLen]uint64
	states  [recentLen]tcpvet.State
	next    int
	slots   [recentSlots]uint8 // how many of the ring's cookies fall into each
}

// seen tells whether the socket was among the last ones, and in which state.
// Where it was not, it now is. Sockets without a cookie are never remembered.
func (r *recent) seen(cookie uint64, state tcpvet.State) (before tcpvet.State, ok bool) {
	if cookie == 0 {
		return 0, false
	}
	slot := &r.slots[cookie%recentSlots]
	if *slot != 0 {
		for i, c := range r.cookies {
			if c == cookie {
				before = r.states[i]
				r.states[i] = state
				return before, true
			}
		}
	}
	if old := r.cookies[r.next]; old != 0 {
		r.slots[old%recentSlots]--
	}
	*slot++
	r.cookies[r.next], r.states[r.next] = cookie, state
	r.next = (r.next + 1) % recentLen
	return 0, false
}

// bound knows the merely bound sockets of a dump, which can be met again in the
// table of connections.
type bound struct {
	cookies map[uint64]struct{}
	ports   [1 << 16 / 64]uint64 // spares the map for the ports that none is on
}

func (b *bound) reset() {
	if len(b.cookies) > 0 {
		clear(b.cookies)
		b.ports = [len(b.ports)]uint64{}
	}
}

// seen tells whether the socket was told as merely bound earlier in the dump,
// and remembers one that is.
func (b *bound) seen(s *tcpvet.Socket) bool {
	if s.Cookie == 0 {
		return false
	}
	port := s.Local.Port()
	word, bit := &b.ports[port/64], uint64(1)<<(port%64)
	if *word&bit != 0 {
		if _, ok := b.cookies[s.Cookie]; ok {
			return true
		}
	}
	if s.State == tcpvet.BoundInactive && len(b.cookies) < boundMax {
		if b.cookies == nil {
			b.cookies = make(map[uint64]struct{})
		}
		b.cookies[s.Cookie] = struct{}{}
		*word |= bit
	}
	return false
}
