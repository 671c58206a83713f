package filter

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"pgregory.net/rapid"
)

// The values that random filters and sockets are made of: few, so that they
// meet.
type pool struct {
	addrs    []netip.Addr
	prefixes []netip.Prefix
	ports    []uint16
}

var small = pool{
	addrs: []netip.Addr{
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("192.168.0.1"),
		netip.MustParseAddr("fe80::1"), netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::1"),
		netip.IPv4Unspecified(), netip.IPv6Unspecified(), {},
	},
	prefixes: []netip.Prefix{
		{}, netip.MustParsePrefix("fe80::1/128"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/31"), netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("::/0"), netip.MustParsePrefix("2001:db8::/33"), netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("::/64"), netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 127),
	},
	ports: []uint16{0, 1, 80, 443, 8080, 65534, 65535},
}

func from[T any](t *rapid.T, name string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, name)
}

// draw gives a random condition; kernel limits it to terms that the kernel can
// judge.
func (p pool) draw(t *rapid.T, depth int, kernel bool) Expr {
	kinds := 5
	if depth == 0 {
		kinds = 0
	}
	switch rapid.IntRange(-4, kinds).Draw(t, "kind") {
	case 1:
		return Not{p.draw(t, depth-1, kernel)}
	case 2, 3:
		return And(p.parts(t, depth, kernel))
	case 4, 5:
		return Or(p.parts(t, depth, kernel))
	}
	return p.drawTerm(t, kernel)
}

func (p pool) parts(t *rapid.T, depth int, kernel bool) []Expr {
	parts := make([]Expr, rapid.IntRange(0, 3).Draw(t, "parts"))
	for i := range parts {
		parts[i] = p.draw(t, depth-1, kernel)
	}
	return parts
}

func (p pool) drawTerm(t *rapid.T, kernel bool) Expr {
	last := 6
	if kernel {
		last = 1
	}
	end := from(t, "end", Local, Remote)
	op := from(t, "op", Eq, Ne, Lt, Gt, Le, Ge)
	switch rapid.IntRange(0, last).Draw(t, "term") {
	case 0:
		h := Host{End: end, Prefix: from(t, "prefix", p.prefixes...)}
		if h.HasPort = rapid.Bool().Draw(t, "has port"); h.HasPort {
			h.Port = from(t, "port", p.ports...)
		}
		if a := h.Prefix.Addr(); !kernel && a.Is6() && a.IsLinkLocalUnicast() && h.Prefix.IsSingleIP() {
			h.Link = from(t, "link", uint32(0), 1, 2)
		}
		return h
	case 1:
		return Port{end, op, from(t, "port", p.ports...)}
	case 2:
		return StateIn(rapid.Uint16().Draw(t, "states")) & StateIn(tcpvet.AllStates)
	case 3:
		q := from(t, "quantity", RecvQ, SendQ, Retrans, UID, Inode, Cookie, Cgroup)
		return Number{q, op, uint64(rapid.IntRange(0, 2).Draw(t, "value"))}
	case 4:
		return AgeIs{op, time.Duration(rapid.IntRange(0, 62).Draw(t, "age")) * time.Second}
	case 5:
		return RoleIs(from(t, "role", roles...))
	}
	return TimerIs(from(t, "timer", timers...))
}

func (p pool) drawSocket(t *rapid.T) *tcpvet.Socket {
	n := func(name string) int { return rapid.IntRange(0, 2).Draw(t, name) }
	at := func(name string) netip.AddrPort {
		return netip.AddrPortFrom(from(t, name, p.addrs...), from(t, name, p.ports...))
	}
	ago := func(name string) time.Duration {
		return time.Duration(rapid.IntRange(0, 62).Draw(t, name)) * time.Second
	}
	return &tcpvet.Socket{
		Known:  tcpvet.Facts(rapid.Uint32().Draw(t, "known")),
		State:  from(t, "state", tcpvet.States[:]...),
		Role:   from(t, "role", tcpvet.RoleUnknown, tcpvet.Client, tcpvet.Server),
		Local:  at("local"),
		Remote: at("remote"), Interface: uint32(n("interface")),
		RecvQ: uint32(n("recvq")), SendQ: uint32(n("sendq")),
		UID: uint32(n("uid")), Inode: uint64(n("inode")), Cookie: uint64(n("cookie")), Cgroup: uint64(n("cgroup")),
		Timer: tcpvet.Timer{Kind: from(t, "timer", timers...), Retransmits: uint8(n("retrans")), Expires: ago("expires")},
		Info: tcpvet.TCPInfo{
			LastDataSent: ago("last sent"), LastDataRecv: ago("last received"), LastAckRecv: ago("last ack"),
		},
	}
}

// What String writes, Parse reads as the same condition.
func TestStringRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New(small.draw(t, 4, false))
		again, err := Parse([]string{f.String()})
		if err != nil {
			t.Fatal(err)
		}
		if again.String() != f.String() {
			t.Errorf("%q is read as %q", f, again)
		}
		if again.States() != f.States() || again.Needs() != f.Needs() {
			t.Errorf("%q: States %b and %b, Needs %v and %v", f, f.States(), again.States(), f.Needs(), again.Needs())
		}
		for range 10 {
			s := small.drawSocket(t)
			if a, b := f.Expr().Judge(s), again.Expr().Judge(s); a != b {
				t.Errorf("%q is %v before and %v after it was written, for %+v", f, a, b, s)
			}
		}
	})
}

func TestDeMorgan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := small.draw(t, 3, false), small.draw(t, 3, false)
		s := small.drawSocket(t)
		for _, pair := range [][2]Expr{
			{Not{And{a, b}}, Or{Not{a}, Not{b}}},
			{Not{Or{a, b}}, And{Not{a}, Not{b}}},
			{Not{Not{a}}, a},
			{And{a, b}, And{b, a}},
			{Or{a, b}, Or{b, a}},
			{And{a, Or{a, b}}, a},
			{Or{a, And{a, b}}, a},
		} {
			if x, y := pair[0].Judge(s), pair[1].Judge(s); x != y {
				t.Errorf("%v is %v and %v is %v", pair[0], x, pair[1], y)
			}
		}
	})
}

// To be told more about a socket can decide what was unknown; it never turns
// an answer round. So a match does not hang on what a source left out.
func TestMoreFactsNeverTurnAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := small.draw(t, 4, false)
		more := small.drawSocket(t)
		less := *more
		less.Known &= tcpvet.Facts(rapid.Uint32().Draw(t, "left"))
		if rapid.Bool().Draw(t, "hide role") {
			less.Role = tcpvet.RoleUnknown
		}
		if rapid.Bool().Draw(t, "hide interface") {
			less.Interface = 0
		}
		if before, after := e.Judge(&less), e.Judge(more); before != Unknown && before != after {
			t.Errorf("%v is %v for %+v and %v for %+v", e, before, less, after, more)
		}
	})
}

func TestStatesHoldEveryMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New(small.draw(t, 4, false))
		for _, state := range tcpvet.States {
			s := small.drawSocket(t)
			s.State = state
			if f.Match(s) && !f.States().Has(state) {
				t.Errorf("%q matches %v, its States are %b", f, s, f.States())
			}
		}
	})
}

// The states are exact where only states are asked for.
func TestStatesExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New(drawStates(t, 4))
		for _, state := range tcpvet.States {
			if f.Match(&tcpvet.Socket{State: state}) != f.States().Has(state) {
				t.Errorf("%q, %v: Match and States %b differ", f, state, f.States())
			}
		}
	})
}

func drawStates(t *rapid.T, depth int) Expr {
	if depth > 0 {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return Not{drawStates(t, depth-1)}
		case 1:
			return And{drawStates(t, depth-1), drawStates(t, depth-1)}
		case 2:
			return Or{drawStates(t, depth-1), drawStates(t, depth-1)}
		}
	}
	return StateIn(rapid.Uint16().Draw(t, "states")) & StateIn(tcpvet.AllStates)
}
