package live

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tcpvet/tcpvet"
)

// A failure alike is looked at again after Every, and repeated until then; one that
// proves something else by itself is not alike.
func TestRootExplainEvery(t *testing.T) {
	s := newStage(t)
	x := NewExplainer(ExplainOptions{Every: time.Minute})
	clock := time.Now()
	x.now = func() time.Time { return clock }
	e := s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080")
	if got := s.explain(x, e); !got.Looked || got.Census == nil || len(got.Remedies) == 0 {
		t.Errorf("first: %+v", got)
	}
	clock = clock.Add(59 * time.Second)
	if got := s.explain(x, e); got.Looked || !got.Repeated || got.Census != nil || got.Remedies != nil || len(got.Text) != 1 {
		t.Errorf("within Every: %+v", got)
	}
	clock = clock.Add(2 * time.Second)
	if got := s.explain(x, e); !got.Looked {
		t.Errorf("after Every: %+v", got)
	}
	slow := *e
	slow.Errno, slow.Took, slow.SYNs = 0, 5*time.Second, 3
	if got := s.explain(x, &slow); got.Cause != tcpvet.CauseTimedOut {
		t.Errorf("given up: %s", got.Cause)
	}
	fast := slow
	fast.Took, fast.SYNs = time.Millisecond, 1
	if got := s.explain(x, &fast); got.Cause != tcpvet.CauseUnknown || got.Repeated {
		t.Errorf("given up at once: %s, repeated %v", got.Cause, got.Repeated)
	}
}

// One look serves a burst, and none a failure that comes a while after it.
func TestRootExplainBurst(t *testing.T) {
	s := newStage(t)
	x := NewExplainer(ExplainOptions{})
	var taken time.Time
	for i := range 20 {
		got := s.explain(x, s.connect(tcpvet.SynSent, "127.0.0.1:0", fmt.Sprintf("127.0.0.1:%d", 9000+i)))
		if !got.Looked || got.Cause != tcpvet.CauseRefused {
			t.Fatalf("%d: %s, looked %v", i, got.Cause, got.Looked)
		}
		if i > 0 && !got.Census.Taken.Equal(taken) && time.Since(taken) < freshness {
			t.Errorf("%d: looked anew", i)
		}
		taken = got.Census.Taken
	}
	e := s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:9100")
	e.At = taken.Add(2 * freshness)
	if got := s.explain(x, e); got.Census.Taken.Equal(taken) {
		t.Error("a look of long before served")
	}
	s.listen("127.0.0.1:9101")
	s.ports(40000, 40000)
	s.connected(1, "", "127.0.0.1:9101")
	if got := s.explain(x, s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:9101")); got.Cause != tcpvet.CausePortsExhausted || got.Use == nil || got.Use.Taken != 1 {
		t.Errorf("a look at less served: %s, %+v", got.Cause, got.Use)
	}
	if got := s.explain(x, s.bind("127.0.0.1:9101")); !strings.Contains(got.Text[0], "in LISTEN") {
		t.Errorf("a look that kept no socket of the port served: %q", got.Text)
	}
}

// Ten thousand targets cost what is allowed, and are told from their events beyond.
func TestRootExplainMany(t *testing.T) {
	const targets, remember = 10_000, 500
	s := newStage(t)
	x := NewExplainer(ExplainOptions{Remember: remember})
	clock := time.Now()
	x.now = func() time.Time { return clock }
	e := s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080")
	looked := 0
	before := processorTime()
	for i := range targets {
		one := *e
		one.At = clock.Add(time.Duration(i) * 2 * freshness) // no look serves two
		one.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 8080)
		got := s.explain(x, &one)
		if got.Cause != tcpvet.CauseRefused {
			t.Fatalf("%d: %s", i, got.Cause)
		}
		if got.Looked {
			looked++
		} else if got.Repeated || got.Census != nil {
			t.Fatalf("%d: %+v", i, got)
		}
	}
	spent := processorTime() - before
	// The clock stands, so that nothing is added to what was saved up.
	if x.spend.credit > 0 || looked == 0 || looked == targets {
		t.Errorf("looked %d times, %s left", looked, x.spend.credit)
	}
	if len(x.known.by) > remember {
		t.Errorf("%d verdicts are kept, want %d at most", len(x.known.by), remember)
	}
	t.Logf("%d looks; %s of CPU in all, %s for each that was not looked at", looked, spent, (spent-burst)/time.Duration(targets-looked))
}

// A look at another namespace, or at less, serves none.
func TestRootExplainOther(t *testing.T) {
	s := newStage(t)
	x := NewExplainer(ExplainOptions{})
	s.listen("127.0.0.1:8080")
	s.ports(40000, 40000)
	s.connected(1, "", "127.0.0.1:8080")
	s.explain(x, s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080"))
	s.again()
	up(s)
	e := s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080")
	if got := s.explain(x, e); !got.Looked || got.Census.Netns[s.netns].ID != s.netns || !strings.Contains(got.Text[0], "nothing listens") {
		t.Errorf("%q", got.Text)
	}
	s.listen("127.0.0.1:8081")
	s.ports(40000, 40000)
	s.connected(1, "", "127.0.0.1:8081")
	e = s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8081")
	x.spend.credit = -time.Hour
	if got := s.explain(x, e); got.Looked || got.Certainty != tcpvet.Likely {
		t.Errorf("by a look at less: %s", got.Certainty)
	}
	x.spend.credit = burst
	if got := s.explain(x, e); got.Use == nil || got.Use.Taken != 1 {
		t.Errorf("use %+v", got.Use)
	}
}

func up(s *stage) {
	s.Helper()
	must(s.T, netlink.LinkSetUp(s.lo()))
}

// Where nothing more may be read, a look of a short time ago still tells whose the
// ports are.
func TestRootExplainOverdrawn(t *testing.T) {
	s := newStage(t)
	s.listen("127.0.0.1:8080")
	s.listen("127.0.0.1:8081")
	s.ports(40000, 40003)
	s.connected(4, "", "127.0.0.1:8080")
	s.connected(4, "", "127.0.0.1:8081")
	x := NewExplainer(ExplainOptions{})
	s.explain(x, s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8080"))
	x.spend.credit = -time.Hour
	e := s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:8081")
	if got := s.explain(x, e); got.Cause != tcpvet.CausePortsExhausted || got.Certainty != tcpvet.Certain || got.Use == nil || got.Use.Taken != 4 {
		t.Errorf("%s, %s, use %+v", got.Cause, got.Certainty, got.Use)
	}
	e.At = e.At.Add(time.Minute)
	if got := s.explain(x, e); got.Cause != tcpvet.CausePortsExhausted || got.Certainty != tcpvet.Likely || got.Use != nil {
		t.Errorf("by a look that is too old: %s, %s, use %+v", got.Cause, got.Certainty, got.Use)
	}
	s.sysctl("net.ipv6.conf.all.disable_ipv6", "1")
	if got := s.explain(x, s.connect(0, "", "[::1]:80")); got.Looked || got.Cause != tcpvet.CauseIPv6Disabled || got.Certainty != tcpvet.Likely {
		t.Errorf("of a route: %s, %s, looked %v", got.Cause, got.Certainty, got.Looked)
	}
	if got := s.explain(x, s.connect(tcpvet.SynSent, "127.0.0.1:0", "127.0.0.1:9999")); got.Looked || got.Cause != tcpvet.CauseRefused {
		t.Errorf("of a listener: %s, looked %v", got.Cause, got.Looked)
	}
}
