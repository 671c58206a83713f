package fold_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/fold"
)

// anySocket draws a socket of one of a few groups and tuples. No two that differ in
// their number are of one age: of those a census may name either.
func anySocket(t *rapid.T, number int) *tcpvet.Socket {
	s := client(
		rapid.SampledFrom(tcpvet.States[:]).Draw(t, "state"),
		uint16(rapid.IntRange(39_998, 41_001).Draw(t, "port")),
		endpoint(10, 0, 3, byte(rapid.IntRange(1, 4).Draw(t, "remote")), 8080),
	)
	s.Known = rapid.SampledFrom([]tcpvet.Facts{^tcpvet.Facts(0), tcpvet.FactQueues, tcpvet.FactQueues | tcpvet.FactTimer}).Draw(t, "known")
	s.Role = rapid.SampledFrom([]tcpvet.Role{tcpvet.Client, tcpvet.Server}).Draw(t, "role")
	s.Holder = tcpvet.Process{PID: int32(rapid.IntRange(1, 3).Draw(t, "pid")), Start: 5}
	if rapid.Bool().Draw(t, "shared") {
		s.SharedWith = []tcpvet.Process{{PID: 9, Start: 9}}
	}
	s.RecvQ, s.SendQ = uint32(rapid.IntRange(0, 2).Draw(t, "in")), uint32(rapid.IntRange(0, 2).Draw(t, "out"))
	s.Cookie = uint64(rapid.IntRange(1, 1<<30).Draw(t, "cookie"))
	ms := func(what string) time.Duration {
		return time.Duration(rapid.IntRange(0, 100_000).Draw(t, what))*time.Millisecond + time.Duration(number)*time.Microsecond
	}
	s.Timer.Kind = tcpvet.TimerKind(rapid.IntRange(0, 4).Draw(t, "timer"))
	s.Timer.Expires, s.Timer.Retransmits = ms("expires"), uint8(rapid.IntRange(0, 3).Draw(t, "retransmits"))
	s.Info = tcpvet.TCPInfo{LastDataSent: ms("sent"), LastDataRecv: ms("received"), LastAckRecv: ms("acknowledged")}
	return s
}

// Sockets that were folded elsewhere and those that come one by one make the same
// Census, whichever they are.
func TestMergeIsFolding(t *testing.T) {
	reserved := *ports
	reserved.Reserved.Add(40500, 40509)
	space := tcpvet.Netns{ID: ns, Ports: &reserved, Sysctls: map[string]string{"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_timestamps": "1"}}
	rapid.Check(t, func(t *rapid.T) {
		whole, here, elsewhere := fold.New(fold.Options{}), fold.New(fold.Options{}), fold.New(fold.Options{})
		for _, f := range []*fold.Folder{whole, here, elsewhere} {
			f.Netns(space)
		}
		for i := range rapid.IntRange(0, 60).Draw(t, "sockets") {
			s := anySocket(t, i)
			whole.Socket(s)
			// A listener's queue is told by its socket.
			if s.State == tcpvet.Listen || rapid.Bool().Draw(t, "here") {
				here.Socket(s)
			} else {
				elsewhere.Socket(s)
			}
		}
		part := elsewhere.Census()
		for g, tally := range part.Groups {
			here.Group(g, tally)
		}
		for tuple, b := range part.Tuples {
			here.Tuple(tuple, b)
		}
		for id, set := range part.Bound {
			for low, high := range set.Spans {
				for port := int(low); port <= int(high); port++ {
					here.Bound(id, uint16(port))
				}
			}
		}
		compare := []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.AllowUnexported(tcpvet.PortSet{}),
			cmp.Comparer(func(a, b tcpvet.PortSet) bool { return portsOf(a) == portsOf(b) })}
		if diff := cmp.Diff(whole.Census(), here.Census(), compare...); diff != "" {
			t.Fatal(diff)
		}
	})
}

func portsOf(s tcpvet.PortSet) (all [1 << 16]bool) {
	for low, high := range s.Spans {
		for port := int(low); port <= int(high); port++ {
			all[port] = true
		}
	}
	return all
}

// The bound on what a group or tuple may lack holds for counts that come whole.
func TestBoundIsTrueOfMerged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(2, 20).Draw(t, "bound")
		f := fold.New(fold.Options{Groups: bound, Tuples: bound})
		groups, tuples := make(map[tcpvet.Group]uint64), make(map[tcpvet.Tuple]uint64)
		for range rapid.IntRange(1, 200).Draw(t, "counts") {
			remote := endpoint(10, 1, 0, byte(rapid.IntRange(0, 60).Draw(t, "remote")), 80)
			n := uint32(rapid.IntRange(0, 50).Draw(t, "n"))
			g := tcpvet.Group{Netns: ns, Role: tcpvet.Client, Local: netip.AddrFrom4([4]byte{10, 0, 0, 1}), Service: remote}
			f.Group(g, &tcpvet.Tally{States: [tcpvet.NumStates]uint32{tcpvet.Established: n}})
			groups[g] += uint64(n)
			tuple := tcpvet.Tuple{Netns: ns, Local: g.Local, Remote: remote}
			f.Tuple(tuple, &tcpvet.Budget{Taken: [tcpvet.NumStates]uint32{tcpvet.TimeWait: n}})
			tuples[tuple] += uint64(n)
		}
		c := f.Census()
		var all, told uint64
		for g, n := range groups {
			all += n
			var got uint64
			if t := c.Groups[g]; t != nil {
				got = t.Total()
			}
			if got > n || got+c.GroupError < n {
				t.Fatalf("%v has %d of %d, and the stated error is %d", g.Service, got, n, c.GroupError)
			}
		}
		for _, tally := range c.Groups {
			told += tally.Total()
		}
		if told != all || c.Sockets != all || c.Selected != all {
			t.Fatalf("%d sockets, %d selected, %d in groups, of %d", c.Sockets, c.Selected, told, all)
		}
		for tuple, n := range tuples {
			var got uint64
			if b := c.Tuples[tuple]; b != nil {
				got = b.Total()
			}
			if got > n || got+c.TupleError < n {
				t.Fatalf("%v has %d of %d, and the stated error is %d", tuple.Remote, got, n, c.TupleError)
			}
		}
	})
}
