package rules_test

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	"github.com/tcpvet/tcpvet/source/fold"
	"github.com/tcpvet/tcpvet/vet"
)

// TestAnyCase judges drawn cases: the same findings from two Censuses of the
// same sockets, in the same order, sound, and free of what is never advised. The
// Census is left as it was.
func TestAnyCase(t *testing.T) {
	fired := make(map[string]int)
	judge := func(t *rapid.T) {
		facts := tcpvet.Facts(rapid.Uint32Range(0, 1<<24-1).Draw(t, "facts"))
		if rapid.Bool().Draw(t, "all facts") {
			facts = 1<<24 - 1
		}
		now := look(t, facts)
		before := func() *tcpvet.Census { return nil }
		if rapid.Bool().Draw(t, "two looks") {
			earlier, ago := look(t, facts), rapid.IntRange(-1, 10).Draw(t, "ago")
			less := 0
			if rapid.Bool().Draw(t, "grown") {
				earlier, less = now, rapid.SampledFrom([]int{1, 10, 15}).Draw(t, "by")
			}
			before = func() *tcpvet.Census {
				c := earlier(less)
				c.Taken = c.Taken.Add(-time.Duration(ago) * time.Second)
				return &c
			}
		}
		patience := rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(t, "patience")
		var limits []tcpvet.PathLimit
		if rapid.Bool().Draw(t, "limits") {
			limits = []tcpvet.PathLimit{{Idle: 90 * time.Second}, {Remote: netip.MustParsePrefix("10.0.3.0/24"), Idle: 2 * time.Second},
				{Kind: tcpvet.OfServer, Idle: time.Minute, Safe: time.Second, Measured: time.Unix(1, 0)}}
		}
		one := tcpvet.Case{Now: now(0), Before: before(), Patience: patience, Limits: limits}
		two := tcpvet.Case{Now: now(0), Before: before(), Patience: patience, Limits: limits}
		first, second := vet.Run(one, rules.All), vet.Run(two, rules.All)
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("two judgements of one case differ:\n%v\n%v", first, second)
		}
		if !reflect.DeepEqual(one, tcpvet.Case{Now: now(0), Before: before(), Patience: patience, Limits: limits}) {
			t.Fatal("a rule changed the case")
		}
		if !slices.IsSortedFunc(first.Findings, func(a, b tcpvet.Finding) int { return cmp.Compare(b.Severity, a.Severity) }) {
			t.Fatal("a finding stands before a worse one")
		}
		for _, f := range first.Findings {
			fired[f.Rule]++
			if err := ruletest.Sound(rules.Find(f.Rule), f); err != nil {
				t.Fatalf("%v\n%s", err, ruletest.Text(f))
			}
			if why := forbidden(f); why != "" {
				t.Fatalf("%s\n%s", why, ruletest.Text(f))
			}
		}
	}
	for range 20 { // 2,000 cases by default: each rule fires in dozens of them
		rapid.Check(t, judge)
	}
	for _, r := range rules.All {
		if fired[r.Name] == 0 {
			t.Errorf("%s never fired in the drawn cases: %v", r.Name, fired)
		}
	}
	t.Logf("findings: %v", fired)
}

// often holds the states as often as they are to be drawn.
var often = slices.Concat(tcpvet.States[:], slices.Repeat([]tcpvet.State{tcpvet.Established, tcpvet.TimeWait, tcpvet.CloseWait}, 4))

// socket draws a socket of a host with few processes, services and ports, so
// that tuples fill and groups meet.
func socket(t *rapid.T) tcpvet.Socket {
	s := tcpvet.Socket{
		State: rapid.SampledFrom(often).Draw(t, "state"),
		Known: rapid.OneOf(rapid.Just(tcpvet.Facts(1<<10-1)), rapid.Custom(func(t *rapid.T) tcpvet.Facts {
			return tcpvet.Facts(rapid.Uint32Range(0, 1<<10-1).Draw(t, "facts"))
		})).Draw(t, "known"),
		Netns: tcpvet.NetnsID(rapid.IntRange(0, 2).Draw(t, "netns")),
		Role:  tcpvet.Role(rapid.IntRange(0, 2).Draw(t, "role")),
		RecvQ: rapid.Uint32Range(0, 3).Draw(t, "recvq"),
		SendQ: rapid.Uint32Range(0, 2).Draw(t, "sendq"),
		Mini:  rapid.Bool().Draw(t, "mini"),
		Timer: tcpvet.Timer{
			Kind:    rapid.SampledFrom([]tcpvet.TimerKind{0, 0, 0, 1, 2, 3, 3, 3, 4}).Draw(t, "timer"),
			Expires: time.Duration(rapid.IntRange(0, 70).Draw(t, "expires")) * time.Second,

			Retransmits: rapid.SampledFrom([]uint8{0, 0, 1, 2, 9}).Draw(t, "retransmits"),
		},
		Holder: rapid.SampledFrom([]tcpvet.Process{tcpvet.Nobody, tcpvet.Unseen, tcpvet.Several, {PID: 1}, {PID: 2}}).Draw(t, "holder"),
	}
	age := rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond, 5 * time.Second, 70 * time.Second, 9 * time.Hour, 10 * time.Hour})
	s.Info = tcpvet.TCPInfo{LastAckRecv: age.Draw(t, "ack"), LastDataRecv: age.Draw(t, "data")}
	s.Info.LastDataSent = s.Info.LastDataRecv
	if rapid.Bool().Draw(t, "sent since") {
		s.Info.LastDataSent = age.Draw(t, "sent")
	}
	local := rapid.SampledFrom([]string{"10.0.0.5", "127.0.0.1", "2001:db8::5", "::ffff:10.0.0.6", "fe80::1%eth0"}).Draw(t, "local")
	s.Local = netip.AddrPortFrom(netip.MustParseAddr(local), rapid.Uint16Range(39998, 40020).Draw(t, "port"))
	s.Remote = netip.MustParseAddrPort(rapid.SampledFrom([]string{"10.0.3.7:80", "10.0.3.7:443", "127.0.0.1:80", "[2001:db8::7]:80"}).Draw(t, "remote"))
	if rapid.IntRange(0, 9).Draw(t, "shared") == 0 {
		s.SharedWith = []tcpvet.Process{{PID: 3}}
	}
	return s
}

// look draws what a look saw. What it gives folds that anew each time, with so many
// of each kind of socket left out. The bounds are not reached: which of two equal
// groups goes is a matter of chance.
func look(t *rapid.T, facts tcpvet.Facts) func(less int) tcpvet.Census {
	var spaces []tcpvet.Netns
	for id := range tcpvet.NetnsID(3) {
		n := tcpvet.Netns{
			ID: id,
			Sysctls: map[string]string{
				"net.ipv4.tcp_tw_reuse":   rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "reuse"),
				"net.ipv4.tcp_timestamps": rapid.SampledFrom([]string{"0", "1"}).Draw(t, "stamps"),
			},
			Counters: map[string]uint64{
				"TcpExtListenOverflows":  rapid.Uint64Range(0, 3).Draw(t, "overflows"),
				"TcpExtTCPAbortOnMemory": rapid.Uint64Range(0, 3).Draw(t, "aborts"),
			},
			Addresses: rapid.SampledFrom([][]tcpvet.Address{nil, {}, {{Prefix: netip.MustParsePrefix("::1/128"), Up: true}}}).Draw(t, "addresses"),
		}
		if rapid.Bool().Draw(t, "ports") {
			n.Ports = &tcpvet.Ports{Low: 40000, High: 40000 + rapid.Uint16Range(0, 19).Draw(t, "high")}
			if rapid.Bool().Draw(t, "reserve") {
				n.Ports.Reserved.Add(40000, 40000+rapid.Uint16Range(0, 19).Draw(t, "reserved"))
			}
		}
		spaces = append(spaces, n)
	}
	processes := make(map[tcpvet.Process]tcpvet.ProcessInfo)
	for pid := range int32(4) {
		processes[tcpvet.Process{PID: pid + 1}] = tcpvet.ProcessInfo{
			Comm: "python3", Netns: 1,
			Descriptors: rapid.Uint64Range(0, 100).Draw(t, "open"), Sockets: rapid.Uint64Range(0, 100).Draw(t, "sockets"), DescriptorLimit: rapid.Uint64Range(0, 100).Draw(t, "limit"),
			Localhost: rapid.SampledFrom([][]netip.Addr{nil, {netip.IPv6Loopback()}, {netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}}).Draw(t, "localhost"),
			Tableless: rapid.SampledFrom([]*tcpvet.Tableless{nil, {}, {Used: 1, Inode: 71}, {Used: 30, Quiet: 5, Unasked: 1, Inode: 72}, {Quiet: 40, Inode: 73}}).Draw(t, "tableless"),
		}
	}
	type some struct {
		socket tcpvet.Socket
		times  int
	}
	var sockets []some
	for range rapid.IntRange(0, 12).Draw(t, "kinds") {
		sockets = append(sockets, some{socket(t), rapid.IntRange(1, 30).Draw(t, "times")})
	}
	if rapid.IntRange(0, 3).Draw(t, "pool") == 0 {
		s := socket(t)
		s.State, s.Known, s.Holder = tcpvet.Established, 1<<10-1, tcpvet.Process{PID: 1}
		s.Info = tcpvet.TCPInfo{LastAckRecv: 9 * time.Hour, LastDataRecv: 9 * time.Hour, LastDataSent: 9 * time.Hour}
		sockets = append(sockets, some{s, rapid.IntRange(20, 40).Draw(t, "pooled")})
	}
	if rapid.IntRange(0, 3).Draw(t, "handshakes") == 0 {
		s := socket(t)
		s.State, s.Role, s.Holder, s.SharedWith = tcpvet.SynRecv, tcpvet.Server, tcpvet.Nobody, nil
		s.Timer.Kind = tcpvet.TimerOn
		l := s
		l.State, l.Remote, l.SendQ, l.Holder = tcpvet.Listen, netip.AddrPort{}, rapid.Uint32Range(1, 40).Draw(t, "backlog"), tcpvet.Process{PID: 1}
		sockets = append(sockets, some{l, 1}, some{s, rapid.IntRange(1, 30).Draw(t, "times")})
	}
	if rapid.IntRange(0, 3).Draw(t, "last ACKs") == 0 {
		s := socket(t)
		s.State = rapid.SampledFrom([]tcpvet.State{tcpvet.LastAck, tcpvet.Closing, tcpvet.SynSent}).Draw(t, "unanswered")
		s.Timer.Kind = tcpvet.TimerOn
		sockets = append(sockets, some{s, rapid.IntRange(1, 120).Draw(t, "times")})
	}
	if rapid.IntRange(0, 3).Draw(t, "bound ports") == 0 {
		s := socket(t)
		s.State, s.Remote = tcpvet.BoundInactive, netip.AddrPort{}
		for port := range rapid.Uint16Range(1, 20).Draw(t, "bound") {
			s.Local = netip.AddrPortFrom(s.Local.Addr(), 40000+port)
			sockets = append(sockets, some{s, 1})
		}
	}
	host := tcpvet.Host{Counters: map[string]uint64{
		"orphans": rapid.Uint64Range(0, 100).Draw(t, "orphans"), "tcp_max_orphans": rapid.Uint64Range(0, 100).Draw(t, "most orphans"),
		"conntrack.count": rapid.Uint64Range(0, 100).Draw(t, "tracked"), "conntrack.max": rapid.Uint64Range(0, 100).Draw(t, "most tracked"),
	}}
	blind := rapid.Bool().Draw(t, "blind")
	return func(less int) tcpvet.Census {
		f := fold.New(fold.Options{})
		f.Host(host)
		for _, n := range spaces {
			f.Netns(n)
		}
		for p, info := range processes {
			f.Process(p, info)
		}
		for _, s := range sockets {
			for range max(s.times-less, 0) {
				_ = f.Socket(&s.socket) // gives no error
			}
		}
		if blind {
			f.Gap(tcpvet.Gap{What: "holders", Needs: "root"})
		}
		c := f.Census()
		c.Facts, c.Taken = facts, time.Unix(1_700_000_000, 0)
		return c
	}
}
