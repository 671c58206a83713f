package source

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
)

// The ring forgets no socket before recentLen others have come, and knows none
// that was not there: checked against a list.
func TestRecent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r recent
		var last []tcpvet.Socket
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
			var want tcpvet.State
			for i := range last {
				if o := &last[i]; o.Inode == s.Inode && o.Local == s.Local && o.Remote == s.Remote {
					want, o.State = o.State, s.State
				}
			}
			before, ok := r.seen(&s)
			if before != want || ok != (want != 0) {
				t.Fatalf("%v: seen %v as %v, want %v", s.Local, ok, before, want)
			}
			if !ok {
				if last = append(last, s); len(last) > recentLen {
					last = last[1:]
				}
			}
		}
	})
}
