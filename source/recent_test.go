package source

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
)

// A socket with an inode is never forgotten, one without not before recentLen
// others like it have come, and none is known that was not there: checked
// against lists.
func TestRecent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r recent
		var last []tcpvet.Socket // without inodes
		held := make(map[uint64]tcpvet.State)
		a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")
		for range rapid.IntRange(1, 600).Draw(t, "sockets") {
			n := rapid.Uint16Range(0, 200).Draw(t, "n")
			s := tcpvet.Socket{State: tcpvet.Established, Local: netip.AddrPortFrom(a, n), Remote: netip.AddrPortFrom(b, n/2)}
			if n%3 > 0 {
				s.Inode = uint64(n) + 1<<33*uint64(n%2)
			}
			if rapid.Bool().Draw(t, "closed") {
				s.State = tcpvet.CloseWait
			}
			want := held[s.Inode]
			for i := range last {
				if o := &last[i]; s.Inode == 0 && o.Local == s.Local && o.Remote == s.Remote {
					want, o.State = o.State, s.State
				}
			}
			if s.Inode != 0 {
				held[s.Inode] = s.State
			}
			before, ok := r.seen(&s)
			if before != want || ok != (want != 0) {
				t.Fatalf("%v: seen %v as %v, want %v", s.Local, ok, before, want)
			}
			if !ok && s.Inode == 0 {
				if last = append(last, s); len(last) > recentLen {
					last = last[1:]
				}
			}
		}
	})
}
