package vet_test

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

var busy = tcpvet.Tuple{Netns: 5, Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddrPort("10.0.3.7:80")}

// portCensus is a look at one namespace with the default range, less two reserved
// ports, and with one listener in it.
func portCensus(b *tcpvet.Budget) *tcpvet.Census {
	ports := &tcpvet.Ports{Low: 32768, High: 60999}
	ports.Reserved.Add(40000, 40001)
	var bound tcpvet.PortSet
	bound.Add(50000, 50000)
	return &tcpvet.Census{
		Facts: tcpvet.FactInfo | tcpvet.FactTimer | tcpvet.FactHolders | tcpvet.FactInode | tcpvet.FactTimeWait,
		Netns: map[tcpvet.NetnsID]tcpvet.Netns{5: {Ports: ports, Sysctls: map[string]string{
			"net.ipv4.tcp_tw_reuse": "0", "net.ipv4.tcp_timestamps": "1",
		}}},
		Bound:  map[tcpvet.NetnsID]*tcpvet.PortSet{5: &bound},
		Tuples: map[tcpvet.Tuple]*tcpvet.Budget{busy: b},
	}
}

func useOf(t interface{ Fatalf(string, ...any) }, c *tcpvet.Census) vet.TupleUse {
	uses := vet.TupleUses(c, busy)
	if len(uses) != 1 {
		t.Fatalf("%d uses of one tuple", len(uses))
	}
	return uses[0]
}

func TestTupleUseHolders(t *testing.T) {
	one, two := tcpvet.Process{PID: 1}, tcpvet.Process{PID: 2}
	b := &tcpvet.Budget{ReusableTimeWait: 50}
	b.Taken[tcpvet.CloseWait], b.Taken[tcpvet.TimeWait], b.Taken[tcpvet.Established] = 9, 8, 3
	c := portCensus(b)
	tally := func(state tcpvet.State, n uint32) *tcpvet.Tally {
		t := new(tcpvet.Tally)
		t.States[state] = n
		return t
	}
	group := func(p tcpvet.Process, role tcpvet.Role, local string, service netip.AddrPort) tcpvet.Group {
		return tcpvet.Group{Netns: 5, Holder: p, Role: role, Local: netip.MustParseAddr(local), Service: service}
	}
	c.Groups = map[tcpvet.Group]*tcpvet.Tally{
		group(one, tcpvet.Client, "10.0.0.5", busy.Remote):                                    tally(tcpvet.Established, 3),
		group(two, tcpvet.Client, "10.0.0.5", busy.Remote):                                    tally(tcpvet.CloseWait, 9),
		group(tcpvet.Nobody, tcpvet.Client, "10.0.0.5", busy.Remote):                          tally(tcpvet.TimeWait, 58),
		group(one, tcpvet.Client, "10.0.0.6", busy.Remote):                                    tally(tcpvet.Established, 100),
		group(one, tcpvet.Server, "10.0.0.5", busy.Remote):                                    tally(tcpvet.Established, 100),
		group(one, tcpvet.Client, "10.0.0.5", netip.MustParseAddrPort("10.0.3.7:443")):        tally(tcpvet.Established, 100),
		{Netns: 6, Holder: one, Role: tcpvet.Client, Local: busy.Local, Service: busy.Remote}: tally(tcpvet.Established, 100),
	}
	u := useOf(t, c)
	if want := []vet.Share{{Process: two, Count: 9}, {Process: tcpvet.Nobody, Count: 8}, {Process: one, Count: 3}}; !slices.Equal(u.Holders, want) {
		t.Errorf("holders %v, want %v: the 50 that would be reused are nobody's ports", u.Holders, want)
	}
	if want := []tcpvet.State{tcpvet.CloseWait, tcpvet.TimeWait, tcpvet.Established}; !slices.Equal(u.States(), want) {
		t.Errorf("states %v, want %v", u.States(), want)
	}
	if u.Taken != 20 || u.Left != 28232-2-1-20 || u.Choosable() != 28229 {
		t.Errorf("taken %d, left %d, choosable %d", u.Taken, u.Left, u.Choosable())
	}
}

// TestTupleUseRest: 28,229 ports, and what rests 60 s or the delay of reuse.
func TestTupleUseRest(t *testing.T) {
	for _, tt := range []struct {
		mode, stamps, delay string
		want                float64
		reused              bool
	}{
		{"0", "1", "", 28229. / 60, false},
		{"2", "1", "", 28229. / 60, false}, // not on loopback
		{"1", "0", "", 28229. / 60, false},
		{"1", "1", "", 28229, true},
		{"1", "1", "500", 28229 / 0.5, true},
		{"", "1", "", 28229. / 60, false},
	} {
		c := portCensus(new(tcpvet.Budget))
		sysctls := map[string]string{"net.ipv4.tcp_timestamps": tt.stamps}
		for name, value := range map[string]string{"net.ipv4.tcp_tw_reuse": tt.mode, "net.ipv4.tcp_tw_reuse_delay": tt.delay} {
			if value != "" {
				sysctls[name] = value
			}
		}
		n := c.Netns[5]
		n.Sysctls = sysctls
		c.Netns[5] = n
		u := useOf(t, c)
		if got := u.Sustainable(); math.Abs(got-tt.want) > 1e-9 || u.Reused != tt.reused {
			t.Errorf("reuse %q, timestamps %s, delay %q: bears %v, reused %v; want %v, %v", tt.mode, tt.stamps, tt.delay, got, u.Reused, tt.want, tt.reused)
		}
	}
}

// TestExhaustedIn plays the next hours second by second: each TIME-WAIT ends 60 s
// after it came, and CLOSE-WAIT never does.
func TestExhaustedIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		earlier := rapid.IntRange(0, 600).Draw(t, "closed a second, 60 to 10 s ago")
		now := rapid.IntRange(0, 600).Draw(t, "closed a second, of late")
		leak := rapid.SampledFrom([]int{0, 0, 1, 5, 100}).Draw(t, "leaked a second")
		old := rapid.IntRange(1, 5000).Draw(t, "leaked before")
		b := &tcpvet.Budget{
			TimeWaitBorn:  tcpvet.Births{Last10s: uint32(10 * now), Last60s: uint32(10*now + 50*earlier)},
			CloseWaitBorn: tcpvet.Births{Last10s: uint32(10 * leak), Last60s: uint32(60 * leak)},
		}
		b.Taken[tcpvet.TimeWait] = b.TimeWaitBorn.Last60s
		b.Taken[tcpvet.CloseWait] = uint32(old + 60*leak)
		u := useOf(t, portCensus(b))
		if u.Left == 0 {
			t.Skip("none is left now")
		}

		born := make([]int, 60) // by second, the oldest first
		for i := range born {
			if born[i] = earlier; i >= 50 {
				born[i] = now
			}
		}
		left, want := u.Left, -1
		for second := 1; second <= 40000; second++ {
			left += born[0] - now - leak
			born = append(born[1:], now)
			if left <= 0 {
				want = second
				break
			}
		}
		got, ok := u.ExhaustedIn()
		if ok != (want > 0) {
			t.Fatalf("in sight: %v after %v; played: %d s, with %d left", ok, got, want, u.Left)
		}
		if ok && math.Abs(got.Seconds()-float64(want)) > 1.01 {
			t.Fatalf("exhausted in %v; played: %d s", got, want)
		}
	})
}

// TestExhaustedInQuiet: what does not grow, or may not, has no end in sight.
func TestExhaustedInQuiet(t *testing.T) {
	full := new(tcpvet.Budget)
	full.Taken[tcpvet.Established] = 28229
	young := &tcpvet.Budget{CloseWaitBorn: tcpvet.Births{Last10s: 40, Last60s: 40}}
	young.Taken[tcpvet.CloseWait] = 40 // may all be about to be closed
	slow := &tcpvet.Budget{CloseWaitBorn: tcpvet.Births{Last10s: 10, Last60s: 10}}
	slow.Taken[tcpvet.CloseWait] = 20 // the slower rate: 10 in 60 s
	burst := &tcpvet.Budget{TimeWaitBorn: tcpvet.Births{Last10s: 3000, Last60s: 3000}}
	burst.Taken[tcpvet.TimeWait] = 3000 // 300 a second come to 18,000 and stay there
	for _, tt := range []struct {
		name string
		b    *tcpvet.Budget
		in   time.Duration
		ok   bool
	}{
		{"full", full, 0, true}, {"young", young, 0, false}, {"burst", burst, 0, false},
		{"slow", slow, (28229 - 20) * 6 * time.Second, true},
	} {
		u := useOf(t, portCensus(tt.b))
		if got, ok := u.ExhaustedIn(); ok != tt.ok || (got-tt.in).Abs() > time.Second {
			t.Errorf("%s: %v, %v; want %v, %v", tt.name, got, ok, tt.in, tt.ok)
		}
	}
}

// TestExhaustedInReused: where ports are reused after a second, how many rest does
// not tell how many come.
func TestExhaustedInReused(t *testing.T) {
	c := portCensus(&tcpvet.Budget{TimeWaitBorn: tcpvet.Births{Last10s: 20000, Last60s: 20000}, ReusableTimeWait: 18000})
	c.Tuples[busy].Taken[tcpvet.TimeWait] = 2000
	c.Netns[5].Sysctls["net.ipv4.tcp_tw_reuse"] = "1"
	u := useOf(t, c)
	if got, ok := u.ExhaustedIn(); ok {
		t.Errorf("exhausted in %v, though 28,229 a second can come and go", got)
	}
}

// TestGrowth names the state that takes ports faster, not the one that has more.
func TestGrowth(t *testing.T) {
	steady := tcpvet.Births{Last10s: 4700, Last60s: 28200} // as many end as come
	rising := tcpvet.Births{Last10s: 3000, Last60s: 8000}
	leak := tcpvet.Births{Last10s: 1, Last60s: 6}
	for _, tt := range []struct {
		leak, rest tcpvet.Births
		want       tcpvet.State
	}{
		{tcpvet.Births{}, tcpvet.Births{}, 0},
		{leak, tcpvet.Births{}, tcpvet.CloseWait},
		{tcpvet.Births{}, steady, tcpvet.TimeWait},
		{leak, steady, tcpvet.CloseWait},
		{leak, rising, tcpvet.TimeWait},
	} {
		b := &tcpvet.Budget{CloseWaitBorn: tt.leak, TimeWaitBorn: tt.rest}
		b.Taken[tcpvet.CloseWait], b.Taken[tcpvet.TimeWait] = tt.leak.Last60s, tt.rest.Last60s
		u := useOf(t, portCensus(b))
		if g, ok := u.Growth(); !ok || g.State != tt.want {
			t.Errorf("leak %v, rest %v: %v, %v; want %v", tt.leak, tt.rest, g.State, ok, tt.want)
		}
	}
}

// TestFullestFirst orders by what is left, not by what is taken.
func TestFullestFirst(t *testing.T) {
	use := func(usable, taken int) vet.TupleUse {
		return vet.TupleUse{Headroom: vet.Headroom{Range: usable, Taken: taken, Left: usable - taken}}
	}
	uses := []vet.TupleUse{use(1000, 500), use(10, 9), use(10, 0), use(100, 50)}
	vet.FullestFirst(uses)
	var got []int
	for _, u := range uses {
		got = append(got, u.Taken)
	}
	if !slices.Equal(got, []int{9, 500, 50, 0}) {
		t.Errorf("taken %v", got)
	}
}

// TestGrowthUnknown: without the ages of what is there, no rate is told.
func TestGrowthUnknown(t *testing.T) {
	b := new(tcpvet.Budget)
	b.Taken[tcpvet.Established] = 5
	c := portCensus(b)
	c.Facts = tcpvet.FactTimer
	u := useOf(t, c)
	if g, ok := u.Growth(); !ok || g.State != 0 {
		t.Errorf("%+v, %v where nothing is in CLOSE-WAIT", g, ok)
	}
	b.Taken[tcpvet.CloseWait] = 1
	u = useOf(t, c)
	if g, ok := u.Growth(); ok {
		t.Errorf("%+v where the ages of CLOSE-WAIT are not known", g)
	}
}

func TestAllTuples(t *testing.T) {
	c := portCensus(new(tcpvet.Budget))
	c.Tuples[tcpvet.Tuple{Netns: 5}] = new(tcpvet.Budget) // folded
	if got := vet.AllTuples(c); !slices.Equal(got, []tcpvet.Tuple{busy}) {
		t.Errorf("%v", got)
	}
	var all tcpvet.PortSet
	all.Add(32768, 60999)
	c.Bound[5] = &all
	if got := vet.AllTuples(c); !slices.Equal(got, []tcpvet.Tuple{{Netns: 5}, busy}) {
		t.Errorf("%v where bind() keeps every port", got)
	}
	if u := vet.TupleUses(c, vet.AllTuples(c)...); len(u) != 2 || u[0].Left != 0 || u[0].Taken != 0 {
		t.Errorf("%+v", u)
	}
}
