package source

import (
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

const (
	// recentLen bounds how many sockets may come in between a socket and its
	// repeat; one read of /proc/net/tcp gives 27.
	recentLen = 128
	// recentSlots makes a scan of the ring needless for 97 of 100 sockets.
	recentSlots = 32 * recentLen
)

// recent knows the last sockets of a reading of /proc/net/tcp. The kernel
// begins each read where the last one ended, by counting sockets within a bucket
// (tcp_seek_last_pos in net/ipv4/tcp_ipv4.c): where one that came or went moved
// the others on, it tells some of them again.
//
// A socket that has an inode is known for the whole reading: where churn is heavy
// the kernel goes back further than any ring is long.
type recent struct {
	told  map[uint64]tcpvet.State // by inode
	ring  [recentLen]sight
	next  int
	slots [recentSlots]uint8 // how many of the ring fall into each
}

// sight is what a socket is known by: its inode, and both ends where it has
// none. Listeners that share a port have the same ends.
type sight struct {
	inode         uint64
	local, remote netip.AddrPort
	state         tcpvet.State
}

func (s *sight) same(o *sight) bool {
	return s.inode == o.inode && s.local == o.local && s.remote == o.remote
}

func (s *sight) slot() uint64 {
	n := s.inode
	if n == 0 {
		n = uint64(s.local.Port())<<16 + uint64(s.remote.Port())
	}
	return (n ^ n>>12) % recentSlots
}

// seen tells whether the socket was among the last ones, and in which state.
// Where it was not, it now is.
func (r *recent) seen(s *tcpvet.Socket) (before tcpvet.State, ok bool) {
	if s.Inode != 0 {
		if r.told == nil {
			r.told = make(map[uint64]tcpvet.State)
		}
		before, ok = r.told[s.Inode]
		r.told[s.Inode] = s.State
		return before, ok
	}
	now := sight{inode: s.Inode, local: s.Local, remote: s.Remote, state: s.State}
	slot := &r.slots[now.slot()]
	if *slot != 0 {
		for i := range r.ring {
			if o := &r.ring[i]; o.state != 0 && o.same(&now) {
				before, o.state = o.state, now.state
				return before, true
			}
		}
	}
	if old := &r.ring[r.next]; old.state != 0 {
		r.slots[old.slot()]--
	}
	*slot++
	r.ring[r.next] = now
	r.next = (r.next + 1) % recentLen
	return 0, false
}
