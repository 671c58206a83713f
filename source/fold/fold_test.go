package fold_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/fold"
)

const ns = 7

var ports = &tcpvet.Ports{Low: 40000, High: 40999}

func endpoint(a, b, c, d byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a, b, c, d}), port)
}

func client(state tcpvet.State, port uint16, remote netip.AddrPort) *tcpvet.Socket {
	return &tcpvet.Socket{
		Known: tcpvet.FactInode | tcpvet.FactTimer | tcpvet.FactQueues, Netns: ns, State: state, Role: tcpvet.Client,
		Local: endpoint(10, 0, 0, 1, port), Remote: remote,
	}
}

func TestTuplesCountPorts(t *testing.T) {
	f := fold.New(fold.Options{})
	reserved := *ports
	reserved.Reserved.Add(40500, 40509)
	f.Netns(tcpvet.Netns{ID: ns, Ports: &reserved, Sysctls: map[string]string{"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_timestamps": "1"}})
	db := endpoint(10, 0, 3, 7, 8080)
	for port := uint16(40000); port < 40010; port++ {
		f.Socket(client(tcpvet.CloseWait, port, db))
	}
	f.Socket(client(tcpvet.Established, 39999, db)) // outside the range: takes none of its ports
	f.Socket(client(tcpvet.Established, 40505, db)) // reserved: bind() chose it
	server := client(tcpvet.Established, 40020, endpoint(10, 9, 9, 9, 51000))
	server.Role = tcpvet.Server
	f.Socket(server)
	mapped := client(tcpvet.Established, 40021, netip.AddrPortFrom(netip.MustParseAddr("::ffff:10.0.3.7"), 8080))
	mapped.Local = netip.AddrPortFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 40021)
	f.Socket(mapped) // shares the ports of IPv4
	for _, age := range []time.Duration{5 * time.Second, 500 * time.Millisecond} {
		tw := client(tcpvet.TimeWait, 40030, db)
		tw.Timer = tcpvet.Timer{Kind: tcpvet.TimerTimeWait, Expires: 60*time.Second - age}
		f.Socket(tw)
	}
	c := f.Census()
	if len(c.Tuples) != 1 {
		t.Fatalf("%d tuples, want the one of the client: %v", len(c.Tuples), c.Tuples)
	}
	b := c.Tuples[tcpvet.Tuple{Netns: ns, Local: netip.MustParseAddr("10.0.0.1"), Remote: db}]
	if b == nil {
		t.Fatalf("no budget for %s: %v", db, c.Tuples)
	}
	if b.Taken[tcpvet.CloseWait] != 10 || b.Taken[tcpvet.Established] != 2 || b.Taken[tcpvet.TimeWait] != 1 || b.ReusableTimeWait != 1 || b.Reserved != 1 {
		t.Errorf("taken %v, reusable %d, reserved %d; want 10 CLOSE-WAIT, 2 ESTAB, 1 TIME-WAIT, 1 reusable, 1 reserved", b.Taken, b.ReusableTimeWait, b.Reserved)
	}
	if b.TimeWaitBorn != (tcpvet.Births{Last10s: 2, Last60s: 2}) {
		t.Errorf("TIME-WAIT born: %+v, want both within 10 s", b.TimeWaitBorn)
	}
	if c.Sockets != 16 || c.Selected != 16 {
		t.Errorf("sockets %d, selected %d, want 16", c.Sockets, c.Selected)
	}
}

func TestSelectNarrowsGroupsOnly(t *testing.T) {
	f := fold.New(fold.Options{Select: func(s *tcpvet.Socket, info func(tcpvet.Process) tcpvet.ProcessInfo) bool {
		return info(s.Holder).Comm == "shop"
	}})
	f.Netns(tcpvet.Netns{ID: ns, Ports: ports})
	shop, other := tcpvet.Process{PID: 10, Start: 1}, tcpvet.Process{PID: 11, Start: 1}
	f.Process(shop, tcpvet.ProcessInfo{Comm: "shop"})
	f.Process(other, tcpvet.ProcessInfo{Comm: "other"})
	db := endpoint(10, 0, 3, 7, 8080)
	for i := range 20 {
		s := client(tcpvet.CloseWait, 40000+uint16(i), db)
		if s.Holder = shop; i%4 == 0 {
			s.Holder = other
		}
		f.Socket(s)
	}
	c := f.Census()
	if len(c.Groups) != 1 || c.Selected != 15 || c.Sockets != 20 {
		t.Errorf("%d groups, %d of %d selected; want 1, 15 of 20", len(c.Groups), c.Selected, c.Sockets)
	}
	for _, b := range c.Tuples {
		if b.Total() != 20 {
			t.Errorf("the tuple has %d ports taken, want 20 whoever holds them", b.Total())
		}
	}
}

func TestListeners(t *testing.T) {
	f := fold.New(fold.Options{})
	for _, q := range [][2]uint32{{0, 128}, {5, 4}, {60, 128}} {
		f.Socket(&tcpvet.Socket{Known: tcpvet.FactBacklog | tcpvet.FactBacklogMax, Netns: ns, State: tcpvet.Listen, Role: tcpvet.Server,
			Local: endpoint(0, 0, 0, 0, 80), RecvQ: q[0], SendQ: q[1]})
	}
	f.Socket(&tcpvet.Socket{Netns: ns, State: tcpvet.BoundInactive, Local: endpoint(0, 0, 0, 0, 40007)})
	c := f.Census()
	q := c.Listeners[tcpvet.Listener{Netns: ns, Local: endpoint(0, 0, 0, 0, 80)}]
	if q == nil || q.Members != 3 || q.Length != 65 || q.Limit != 260 || q.Fullest != (tcpvet.Filled{Length: 5, Limit: 4}) {
		t.Errorf("queue %+v, want 3 members with 65 of 260, the fullest 5 of 4", q)
	}
	if b := c.Bound[ns]; b == nil || !b.Has(80) || !b.Has(40007) || b.Count(0, 65535) != 2 {
		t.Errorf("bound ports %+v, want 80 and 40007", b)
	}
}

// A crawler with 300,000 destinations and, among them, one tuple near its
// limit: the small ones fold, the full one stays, and nothing is lost.
func TestBoundKeepsTheHeavy(t *testing.T) {
	const small, heavy = 300_000, 900
	f := fold.New(fold.Options{})
	f.Netns(tcpvet.Netns{ID: ns, Ports: ports})
	full := endpoint(10, 0, 3, 7, 8080)
	for i := range small {
		if i%(small/heavy) == 0 && i/(small/heavy) < heavy {
			f.Socket(client(tcpvet.TimeWait, 40000+uint16(i/(small/heavy)), full))
		}
		f.Socket(client(tcpvet.TimeWait, 40000, endpoint(11, byte(i>>16), byte(i>>8), byte(i), 80)))
	}
	c := f.Census()
	if len(c.Tuples) > fold.DefaultBound+1 || len(c.Groups) > fold.DefaultBound+1 {
		t.Errorf("%d tuples and %d groups, over the bound of %d", len(c.Tuples), len(c.Groups), fold.DefaultBound)
	}
	b := c.Tuples[tcpvet.Tuple{Netns: ns, Local: netip.MustParseAddr("10.0.0.1"), Remote: full}]
	if b == nil {
		t.Fatal("the full tuple was folded")
	}
	if n := b.Total(); n > heavy || n+c.TupleError < heavy {
		t.Errorf("the full tuple has %d, want %d less at most %d", n, heavy, c.TupleError)
	}
	var groups, tuples uint64
	for _, t := range c.Groups {
		groups += t.Total()
	}
	for _, b := range c.Tuples {
		tuples += b.Total()
	}
	if want := uint64(small + heavy); c.Sockets != want || groups != want || tuples != want {
		t.Errorf("%d sockets, %d in groups, %d in tuples; want %d each", c.Sockets, groups, tuples, want)
	}
	gaps := fmt.Sprint(c.Gaps)
	if len(c.Gaps) != 2 {
		t.Errorf("gaps %s, want one for groups and one for tuples", gaps)
	}
}

// Thousands of short-lived processes that share one tuple: the tuple does not
// depend on who holds it.
func TestShortLivedClientsOfOneTuple(t *testing.T) {
	f := fold.New(fold.Options{Groups: 100, Tuples: 100})
	f.Netns(tcpvet.Netns{ID: ns, Ports: ports})
	db := endpoint(10, 0, 3, 7, 8080)
	for i := range 1000 {
		s := client(tcpvet.Established, 40000+uint16(i), db)
		s.Holder = tcpvet.Process{PID: int32(1000 + i), Start: uint64(i)}
		f.Socket(s)
	}
	c := f.Census()
	if len(c.Groups) > 2*100+1 {
		t.Errorf("%d groups, want at most twice the bound of 100", len(c.Groups))
	}
	if b := c.Tuples[tcpvet.Tuple{Netns: ns, Local: netip.MustParseAddr("10.0.0.1"), Remote: db}]; b == nil || b.Total() != 1000 {
		t.Errorf("the tuple is %+v, want 1000 taken", b)
	}
}

// No tuple that is heavier than the stated error may be missing, and none may
// lack more than it, in whatever order the sockets come.
func TestBoundIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(2, 20).Draw(t, "bound")
		keys := rapid.SliceOfN(rapid.IntRange(0, 60), 1, 2000).Draw(t, "keys")
		f := fold.New(fold.Options{Tuples: bound})
		f.Netns(tcpvet.Netns{ID: ns, Ports: ports})
		truth := make(map[netip.AddrPort]uint64)
		for i, k := range keys {
			k = min(k, k*k%61) // some keys much more often than others
			remote := endpoint(10, 1, 0, byte(k), 80)
			truth[remote]++
			f.Socket(client(tcpvet.Established, 40000+uint16(i%1000), remote))
		}
		c := f.Census()
		for remote, n := range truth {
			b := c.Tuples[tcpvet.Tuple{Netns: ns, Local: netip.MustParseAddr("10.0.0.1"), Remote: remote}]
			var got uint64
			if b != nil {
				got = b.Total()
			}
			if got > n || got+c.TupleError < n {
				t.Fatalf("%s has %d of %d, and the stated error is %d", remote, got, n, c.TupleError)
			}
		}
		if len(c.Tuples) > bound+1 {
			t.Fatalf("%d tuples, over the bound of %d", len(c.Tuples), bound)
		}
	})
}
