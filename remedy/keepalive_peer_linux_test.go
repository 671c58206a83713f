package remedy

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// quick are timers that tests can wait for: a peer that is gone is found in 3 s.
var quick = tcpvet.Timers{Keepalive: true, Idle: time.Second, Interval: time.Second, Count: 2}

// probesOf gives how many keepalive probes were sent in the namespace of the test
// (TcpExt TCPKeepAlive).
func probesOf(t *testing.T) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/netstat")
	if err != nil {
		t.Fatal(err)
	}
	counters := make(map[string]uint64)
	if err := procfs.ParseNetstat(text, counters); err != nil {
		t.Fatal(err)
	}
	n, ok := counters["TcpExtTCPKeepAlive"]
	if !ok {
		t.Fatal("the kernel does not count keepalive probes")
	}
	return n
}

// until waits for a state of the kernel.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !reached(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after two minutes", what)
		}
	}
}

// A CLOSE-WAIT whose peer has half closed stays, however many probes are answered, as
// the plan says. Once the peer has closed and its FIN-WAIT-2 is over, the next probe
// frees the port: the socket is in no table any more, and its descriptor is open.
func TestRootKeepaliveHalfClosed(t *testing.T) {
	kerneltest.Netns(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_fin_timeout", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	h := holderOf(t, nil)
	ends := h.do(order{Do: "open", Family: "4", N: 1})
	held, other := ends[0], ends[1]
	h.do(order{Do: "shut", FD: other.FD})
	state := func(e end) uint8 { return h.do(order{Do: "state", FD: e.FD})[0].State }
	until(t, "the FIN", func() bool { return state(held) == uint8(tcpvet.CloseWait) && state(other) == uint8(tcpvet.FinWait2) })

	opt := h.options()
	opt.Timers = quick
	opt.Query.States = tcpvet.SetOf(tcpvet.CloseWait)
	p, err := PlanKeepalive(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Changes) != 1 || p.Changes[0].Target.Cookie != held.Cookie || !strings.Contains(strings.Join(p.Notes, "\n"), "1 of them are in CLOSE-WAIT") {
		t.Fatalf("%+v\n%s", p.Changes, p.Notes)
	}
	if err := p.Apply(t.Context(), journalIn(t)); err != nil {
		t.Fatal(err)
	}
	before := probesOf(t)
	until(t, "probes enough to end a peer that is gone, twice", func() bool { return probesOf(t)-before >= 2*uint64(quick.Count+1) })
	if s := state(held); s != uint8(tcpvet.CloseWait) {
		t.Errorf("half closed: state %d after %d probes", s, probesOf(t)-before)
	}
	if _, there := cookiesBySS(t)[held.Cookie]; !there {
		t.Error("half closed: the socket has left the table")
	}

	h.do(order{Do: "close", FD: other.FD})
	until(t, "the reset", func() bool { _, there := cookiesBySS(t)[held.Cookie]; return !there })
	if e := h.do(order{Do: "state", FD: held.FD})[0]; e.State != uint8(tcpvet.Unconn) {
		t.Errorf("closed by the peer: %+v", e)
	}
}

// An idle connection whose peer is gone ends when Dead says, after as many probes,
// whether the count or a user timeout decides. A user timeout that spans several probes
// counts the time: where the kernel's timers come late there are fewer of them.
func TestRootKeepaliveDead(t *testing.T) {
	for _, test := range []struct {
		name         string
		timers       tcpvet.Timers
		dead         time.Duration
		fewest, most uint64        // probes
		lasts        time.Duration // at least, from the last segment on
	}{
		{"count", quick, 3 * time.Second, 2, 2, 3 * time.Second},
		{"user timeout below idle", tcpvet.Timers{Keepalive: true, Idle: 2 * time.Second, Interval: time.Second, Count: 5, UserTimeout: 500 * time.Millisecond}, 3 * time.Second, 1, 1, 3 * time.Second},
		{"user timeout above the count", tcpvet.Timers{Keepalive: true, Idle: time.Second, Interval: time.Second, Count: 1, UserTimeout: 3500 * time.Millisecond}, 4 * time.Second, 1, 3, 3500 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			kerneltest.Netns(t)
			h := holderOf(t, nil)
			began := time.Now()
			ends := h.do(order{Do: "open", Family: "4", N: 1})
			if got := test.timers.Dead(); got != test.dead {
				t.Fatalf("dead after %v, want %v", got, test.dead)
			}
			opt := h.options()
			opt.Timers = test.timers
			opt.Match = func(s *tcpvet.Socket, _ func(tcpvet.Process) tcpvet.ProcessInfo) bool {
				return s.Cookie == ends[0].Cookie
			}
			p, err := PlanKeepalive(t.Context(), opt)
			if err != nil {
				t.Fatal(err)
			}
			nft := exec.Command(kerneltest.Tool(t, "nft"), "add table inet gone; add chain inet gone in { type filter hook input priority 0; }; add rule inet gone in tcp dport "+strconv.Itoa(ends[0].Port)+" drop")
			if out, err := nft.CombinedOutput(); err != nil {
				t.Fatalf("nft: %v: %s", err, out)
			}
			before := probesOf(t)
			if err := p.Apply(t.Context(), journalIn(t)); err != nil {
				t.Fatal(err)
			}
			why := "" // it is told once, maybe before the state
			until(t, "the end", func() bool {
				e := h.do(order{Do: "state", FD: ends[0].FD})[0]
				why += e.Err
				return e.State == uint8(tcpvet.Unconn)
			})
			if why != "ETIMEDOUT" {
				t.Errorf("it ended with %q", why)
			}
			if n := probesOf(t) - before; n < test.fewest || n > test.most {
				t.Errorf("%d probes, want %d to %d", n, test.fewest, test.most)
			}
			// A timer may end a tick early, which is 10 ms at the most.
			if d := time.Since(began); d < test.lasts-10*time.Millisecond {
				t.Errorf("it ended after %v, want %v", d, test.lasts)
			}
		})
	}
}
