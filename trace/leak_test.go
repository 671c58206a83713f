package trace

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
)

var (
	leakProgram = tcpvet.Process{PID: 7, Start: 70}
	leakParent  = tcpvet.Process{PID: 6, Start: 60}
	leakService = netip.MustParseAddrPort("10.0.3.7:8080")
)

// waiting is a client's socket in CLOSE-WAIT whose FIN came so long ago.
func waiting(ago time.Duration, change ...func(*tcpvet.Socket)) *tcpvet.Socket {
	s := &tcpvet.Socket{
		Known: tcpvet.FactCookie | tcpvet.FactInfo | tcpvet.FactTimer, State: tcpvet.CloseWait, Role: tcpvet.Client, Cookie: 1,
		Local: netip.MustParseAddrPort("10.0.0.1:40000"), Remote: leakService, Holder: leakProgram,
		Info: tcpvet.TCPInfo{LastAckRecv: ago, LastDataRecv: ago, LastDataSent: ago + time.Second},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

// Watched since 100 s, looked at 400 s, older than 60 s.
func gatherLeaks() *leaks {
	return &leaks{olderThan: time.Minute, since: 100 * time.Second, now: 400 * time.Second, complete: true, sums: make(map[leakKey]*leakSum)}
}

func opened(stack StackID, waits time.Duration) Opening {
	return Opening{Process: leakProgram, Comm: "app", Stack: stack, Opened: 110 * time.Second, Waiting: waits}
}

func TestLeakKnown(t *testing.T) {
	server := func(s *tcpvet.Socket) { s.Role = tcpvet.Server }
	blind := func(s *tcpvet.Socket) { s.Known &^= tcpvet.FactCookie }
	for _, test := range []struct {
		name   string
		socket *tcpvet.Socket
		o      Opening
		ok     bool
		change func(*leaks)
		want   tcpvet.StackKnownBy
	}{
		{"connected", waiting(time.Minute), opened(5, 0), true, nil, tcpvet.StackConnect},
		{"accepted", waiting(time.Minute, server), Opening{Process: leakProgram, Stack: 5, Accepted: true}, true, nil, tcpvet.StackAccept},
		{"no room for the stack", waiting(time.Minute), Opening{Process: leakProgram, NoRoom: true}, true, nil, tcpvet.StackNoRoom},
		{"a thread of the kernel's", waiting(time.Minute), Opening{Process: leakProgram}, true, nil, tcpvet.StackUntraced},
		{"FIN before the trace", waiting(301 * time.Second), Opening{}, false, nil, tcpvet.StackBefore},
		{"FIN since, nothing refused", waiting(time.Minute), Opening{}, false, nil, tcpvet.StackBefore},
		{"FIN since, some refused", waiting(time.Minute), Opening{}, false, func(l *leaks) { l.complete = false }, tcpvet.StackUntraced},
		{"FIN before the trace, some refused", waiting(301 * time.Second), Opening{}, false, func(l *leaks) { l.complete = false }, tcpvet.StackBefore},
		{"FIN before the trace or since, some refused", waiting(500*time.Second, func(s *tcpvet.Socket) { s.Info.LastAckRecv, s.Timer.Kind = time.Second, tcpvet.TimerKeepalive }),
			Opening{}, false, func(l *leaks) { l.complete = false }, tcpvet.StackUntraced},
		{"accepted unseen", waiting(time.Minute, server), Opening{}, false, nil, tcpvet.StackUntraced},
		{"accepted before the trace", waiting(301*time.Second, server), Opening{}, false, nil, tcpvet.StackBefore},
		{"nothing watched", waiting(time.Minute), Opening{}, false, func(l *leaks) { l.since = 0 }, tcpvet.StackMissing},
		{"no cookie", waiting(time.Minute, blind), Opening{}, false, nil, tcpvet.StackMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := gatherLeaks()
			if test.change != nil {
				test.change(l)
			}
			l.add(test.socket, test.o, test.ok)
			if len(l.sums) != 1 {
				t.Fatalf("%d groups", len(l.sums))
			}
			for key := range l.sums {
				if key.known != test.want {
					t.Errorf("got %v, want %v", key.known, test.want)
				}
			}
		})
	}
}

func TestLeakAge(t *testing.T) {
	probed := func(s *tcpvet.Socket) {
		s.Timer.Kind = tcpvet.TimerKeepalive
		s.Info.LastAckRecv = 10 * time.Second
	}
	undated := func(s *tcpvet.Socket) { s.Known &^= tcpvet.FactInfo }
	for _, test := range []struct {
		name                   string
		socket                 *tcpvet.Socket
		o                      Opening
		ok                     bool
		count, unsure, younger uint64
		low, high              time.Duration
	}{
		{"old", waiting(61 * time.Second), Opening{}, false, 1, 0, 0, 61 * time.Second, 61 * time.Second},
		{"at the edge", waiting(60 * time.Second), Opening{}, false, 1, 0, 0, 60 * time.Second, 60 * time.Second},
		{"young", waiting(59 * time.Second), Opening{}, false, 0, 0, 1, 0, 0},
		{"keepalive hides the FIN", waiting(200*time.Second, probed), Opening{}, false, 1, 1, 0, 10 * time.Second, 200 * time.Second},
		{"keepalive, FIN seen", waiting(200*time.Second, probed), opened(5, 310*time.Second), true, 1, 0, 0, 90 * time.Second, 90 * time.Second},
		{"keepalive, FIN seen lately", waiting(200*time.Second, probed), opened(5, 390*time.Second), true, 0, 0, 1, 0, 0},
		{"FIN came after the look began", waiting(200*time.Second, probed), opened(5, 401*time.Second), true, 0, 0, 1, 0, 0},
		{"no tcp_info", waiting(0, undated), Opening{}, false, 1, 1, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := gatherLeaks()
			l.add(test.socket, test.o, test.ok)
			got := tcpvet.Leak{}
			for _, g := range l.groups(noStack, nil) {
				got = g
			}
			if got.Count != test.count || got.Unsure != test.unsure || l.younger != test.younger || got.Oldest.Low != test.low || got.Oldest.High != test.high {
				t.Errorf("count %d, unsure %d, younger %d, oldest %v; want %+v", got.Count, got.Unsure, l.younger, got.Oldest, test)
			}
		})
	}
}

func noStack(StackID) (Stack, bool) { return Stack{}, false }

// framesOf makes frames of words: "lib" is of a library, "?" behind a name is likely.
func framesOf(words string) []tcpvet.Frame {
	var out []tcpvet.Frame
	for w := range strings.FieldsSeq(words) {
		f := tcpvet.Frame{Symbol: strings.TrimSuffix(w, "?"), Module: "app", File: "app.c", Line: len(w)}
		if strings.HasSuffix(w, "?") {
			f.Certainty = tcpvet.Likely
		}
		if strings.HasPrefix(w, "lib") {
			f.Module, f.File, f.Line = "libc.so.6", "", 0
		}
		out = append(out, f)
	}
	return out
}

// Stacks are told by their number; the table says what each reads as.
func TestLeakGroups(t *testing.T) {
	type in struct {
		stack  StackID
		change func(*tcpvet.Socket, *Opening)
	}
	for _, test := range []struct {
		name   string
		stacks []string // from 1
		in     []in
		want   []string // "count stack", the largest first
	}{
		{"two lines", []string{"libconnect a main", "libconnect b main"}, []in{{1, nil}, {2, nil}, {2, nil}}, []string{"2 libconnect b main", "1 libconnect a main"}},
		{"one line twice", []string{"libconnect a main", "libconnect a main"}, []in{{1, nil}, {2, nil}}, []string{"2 libconnect a main"}},
		{"likely frames beside certain ones", []string{"libconnect old? a main", "libconnect a main"}, []in{{1, nil}, {2, nil}, {2, nil}}, []string{"3 libconnect a main"}},
		{"likely frames alone", []string{"libconnect a? main?", "libconnect b? main?"}, []in{{1, nil}, {2, nil}, {2, nil}}, []string{"2 libconnect b? main?", "1 libconnect a? main?"}},
		{"certain frames of libraries tell nothing", []string{"libconnect liba a?", "libconnect liba b?"}, []in{{1, nil}, {2, nil}, {2, nil}}, []string{"2 libconnect liba b?", "1 libconnect liba a?"}},
		{"two processes", []string{"a"}, []in{{1, nil}, {1, func(s *tcpvet.Socket, o *Opening) { s.Holder, o.Process = leakParent, leakParent }}}, []string{"1 a", "1 a"}},
		{"two services", []string{"a"}, []in{{1, nil}, {1, func(s *tcpvet.Socket, _ *Opening) { s.Remote = netip.MustParseAddrPort("10.0.3.8:8080") }}}, []string{"1 a", "1 a"}},
		{"two namespaces", []string{"a"}, []in{{1, nil}, {1, func(s *tcpvet.Socket, _ *Opening) { s.Netns = 9 }}}, []string{"1 a", "1 a"}},
		{"one service, mapped", []string{"a"}, []in{{1, nil}, {1, func(s *tcpvet.Socket, _ *Opening) { s.Remote = netip.MustParseAddrPort("[::ffff:10.0.3.7]:8080") }}}, []string{"2 a"}},
		{"without a stack apart", []string{"a"}, []in{{1, nil}, {0, nil}}, []string{"1 a", "1 -"}},
		{"a stack that is gone", []string{"a"}, []in{{1, nil}, {2, nil}}, []string{"1 a", "1 -"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := gatherLeaks()
			for _, in := range test.in {
				s, o := waiting(2*time.Minute), opened(in.stack, 0)
				if in.change != nil {
					in.change(s, &o)
				}
				l.add(s, o, true)
			}
			stack := func(id StackID) (Stack, bool) {
				return Stack{Addresses: []uint64{uint64(id)}}, id > 0 && int(id) <= len(test.stacks)
			}
			var got []string
			for _, g := range l.groups(stack, func(_ tcpvet.Process, k *Stack) []tcpvet.Frame { return framesOf(test.stacks[k.Addresses[0]-1]) }) {
				got = append(got, describeLeak(&g))
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func describeLeak(g *tcpvet.Leak) string {
	words := []string{string('0' + byte(g.Count))}
	for _, f := range g.Stack {
		w := f.Symbol
		if f.Certainty == tcpvet.Likely {
			w += "?"
		}
		words = append(words, w)
	}
	if g.Stack == nil {
		words = append(words, "-")
	}
	return strings.Join(words, " ")
}

// A socket that was opened by another process than holds it has the other's code.
func TestLeakOpener(t *testing.T) {
	l := gatherLeaks()
	o := opened(1, 0)
	o.Process, o.Comm = leakParent, "parent"
	l.add(waiting(2*time.Minute), o, true)
	o.Comm = "worker"
	l.add(waiting(3*time.Minute), o, true)
	asked := tcpvet.Process{}
	got := l.groups(func(StackID) (Stack, bool) { return Stack{Addresses: []uint64{1}, Creator: 100, Cut: true}, true },
		func(p tcpvet.Process, k *Stack) []tcpvet.Frame {
			asked = p
			if k.Addresses[0] == 99 {
				return framesOf("main.start")
			}
			return framesOf("net/http.(*Transport).dialConnFor")
		})
	want := []tcpvet.Leak{{
		Process: leakProgram, Role: tcpvet.Client, Service: leakService, Count: 2,
		Oldest:  tcpvet.Age{Low: 3 * time.Minute, High: 3 * time.Minute, By: tcpvet.AgeLastAck},
		KnownBy: tcpvet.StackConnect, Stack: framesOf("net/http.(*Transport).dialConnFor"), Cut: true, Creator: framesOf("main.start"),
		Opener: leakParent, Note: indirections[0].note,
	}}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Error(d)
	}
	if asked != leakParent {
		t.Errorf("addresses were read in %v, want the one that opened: %v", asked, leakParent)
	}
}

// Whatever comes, nothing is lost, and the order is one.
func TestLeakSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := gatherLeaks()
		n := rapid.IntRange(0, 50).Draw(t, "sockets")
		for range n {
			s := waiting(time.Duration(rapid.IntRange(0, 500).Draw(t, "age")) * time.Second)
			s.Holder.PID = int32(rapid.IntRange(1, 3).Draw(t, "pid"))
			o := opened(StackID(rapid.IntRange(0, 4).Draw(t, "stack")), time.Duration(rapid.IntRange(0, 400).Draw(t, "fin"))*time.Second)
			l.add(s, o, rapid.Bool().Draw(t, "known"))
		}
		groups := l.groups(func(id StackID) (Stack, bool) { return Stack{Addresses: []uint64{uint64(id)}}, id > 1 },
			func(_ tcpvet.Process, k *Stack) []tcpvet.Frame {
				return framesOf(strings.Repeat("x", int(k.Addresses[0])/2))
			})
		sum := l.younger
		for i, g := range groups {
			sum += g.Count
			if g.Unsure > g.Count || i > 0 && groups[i-1].Count < g.Count {
				t.Fatalf("group %d is %+v behind %+v", i, g, groups[max(i-1, 0)])
			}
		}
		if sum != uint64(n) {
			t.Fatalf("%d of %d sockets are in groups or younger", sum, n)
		}
	})
}

// Beyond the bound groups are summed up, and no socket is lost.
func TestLeakBound(t *testing.T) {
	l := gatherLeaks()
	const more = 1000
	for i := range mostLeaks + more {
		l.add(waiting(2*time.Minute, func(s *tcpvet.Socket) {
			s.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80)
		}), opened(1, 0), true)
	}
	groups := l.groups(func(StackID) (Stack, bool) { return Stack{}, false }, nil)
	if len(groups) != mostLeaks+1 || groups[0].Count != more || groups[0].Service.IsValid() {
		t.Errorf("%d groups, the first %d to %v; want %d, %d to no service in particular", len(groups), groups[0].Count, groups[0].Service, mostLeaks+1, more)
	}
}

// Only a goroutine that waits for a connection has asked for it.
func TestRequester(t *testing.T) {
	for stack, want := range map[string]string{
		"runtime.gopark runtime.selectgo net/http.(*Transport).getConn net/http.(*Client).Do main.get": "net/http.(*Transport).getConn net/http.(*Client).Do main.get",
		"runtime.gopark net/http.(*persistConn).readLoop runtime.goexit":                               "",
		"": "",
	} {
		var got []string
		for _, f := range requester(framesOf(stack)) {
			got = append(got, f.Symbol)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", stack, got, want)
		}
	}
}

// Who asked sets groups apart, and the note says that it is known.
func TestLeakAsker(t *testing.T) {
	l := gatherLeaks()
	for i := range 3 {
		l.add(waiting(2*time.Minute), opened(StackID(1+i/2), 0), true)
	}
	got := l.groups(func(id StackID) (Stack, bool) {
		return Stack{Addresses: []uint64{0}, Asker: []uint64{uint64(id)}}, true
	},
		func(_ tcpvet.Process, k *Stack) []tcpvet.Frame {
			return framesOf([]string{"net/http.(*Transport).dialConn", "net/http.(*Transport).getConn a", "net/http.(*Transport).getConn b"}[k.Addresses[0]])
		})
	if len(got) != 2 || got[0].Count != 2 || got[0].Asker[1].Symbol != "a" || got[1].Asker[1].Symbol != "b" || !strings.Contains(got[0].Note, "request that waited") {
		t.Errorf("got %+v", got)
	}
}

func TestBehind(t *testing.T) {
	for _, test := range []struct{ frame, want string }{
		{"main.leak", ""},
		{"net/http.(*Transport).dialConnFor", "http.Transport"},
		{"net/http.(*Transport).startDialConnForLocked.func1", "http.Transport"},
		{"net/http.(*Client).Do", ""},
		{"database/sql.(*DB).connectionOpener", "database/sql"},
		{"google.golang.org/grpc.(*addrConn).connect", "grpc"},
		{"uv__tcp_connect", "libuv"},
		{"io.netty.channel.nio.NioEventLoop.run", "netty"},
		{"tokio::runtime::task::raw::poll", "asynchronous runtime"},
		{"/usr/lib/python3.11/asyncio/base_events.py", "event loop"},
		{"/usr/lib/python3/dist-packages/urllib3/connectionpool.py", "urllib3"},
	} {
		f := tcpvet.Frame{Symbol: test.frame}
		if strings.HasPrefix(test.frame, "/") {
			f = tcpvet.Frame{Symbol: "run", File: test.frame}
		}
		got := behind(&tcpvet.Leak{Stack: []tcpvet.Frame{{Symbol: "connect"}, f, {Symbol: "main"}}})
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want words of %q", test.frame, got, test.want)
		}
	}
}
