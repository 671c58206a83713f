package probe

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// lay makes trials in the order in which they were asked, a second after the other.
func lay(trials ...Trial) (out []Trial) {
	for n, t := range trials {
		t.At = time.Duration(n+1) * time.Second
		out = append(out, t)
	}
	return out
}

// after is a trial that ended so after a silence.
func after(fate Fate, silence time.Duration) Trial {
	b := Between{silence, silence + 50*time.Millisecond}
	return Trial{Fate: fate, Silence: b, Quiet: b}
}

func broken(t Trial, segments int) Trial {
	t.Broken = segments
	return t
}

func TestIdle(t *testing.T) {
	yes, no := true, false
	const s, ms = time.Second, time.Millisecond
	for _, test := range []struct {
		name   string
		fresh  *bool
		trials []Trial
		path   Limit
		how    Fate
		ok     bool
		server Limit
		says   string // in Text
		doubts string // in Unknown, "" for whatever
		idle   time.Duration

		heard       uint64
		failed      int
		interrupted bool
	}{
		{name: "nothing", says: "Nothing was measured: no probe was seen to go out", trials: lay(after(Unasked, s), after(Undecided, s))},
		{name: "only data", heard: 100, says: "Nothing was measured: the server sent data when it was asked", trials: lay(after(Undecided, s))},
		{name: "broken off", interrupted: true, says: "Nothing was measured: it was ended before any", trials: lay(after(Unasked, s))},
		{name: "broken off later", interrupted: true, path: Limit{2 * s, 0}, ok: true, idle: s, says: "up to 2 s of silence", doubts: "ended before its time", trials: lay(after(Answered, 2*s))},
		{name: "some could not be opened", failed: 3, path: Limit{2 * s, 0}, ok: true, idle: s, doubts: "what 3 connections would have shown that could not be opened: too many open files", trials: lay(after(Answered, 2*s))},
		{name: "all survived", trials: lay(after(Answered, s), after(Answered, 360*s)),
			path: Limit{360 * s, 0}, ok: true, says: "up to 6 min of silence nothing on the way", doubts: "give --most more than 6m", idle: 180 * s},
		{name: "silent", fresh: &yes, trials: lay(after(Answered, 100*s), after(Answered, 227*s), after(Silent, 240*s), after(Silent, 300*s)),
			path: Limit{227 * s, 240*s + 50*ms}, how: Silent, ok: true, says: "silent for between 3 min 47 s and 4 min 1 s: what is sent then gets no answer", doubts: "whether a middlebox drops", idle: 113 * s},
		{name: "reset", fresh: &yes, trials: lay(after(Answered, 100*s), after(ResetAsked, 240*s), after(Silent, 250*s)),
			path: Limit{100 * s, 240*s + 50*ms}, how: ResetAsked, ok: true, says: "is answered by RST", doubts: "who sent the RST", idle: 50 * s},
		{name: "reset unasked", fresh: &yes, trials: lay(after(Answered, 100*s), after(ResetIdle, 240*s)),
			path: Limit{100 * s, 240*s + 50*ms}, how: ResetIdle, ok: true, says: "is ended by an RST", idle: 50 * s},
		{name: "reset unasked, and one as it was asked", fresh: &yes, trials: lay(after(Answered, 100*s), after(ResetAsked, 240*s), after(ResetIdle, 240*s+40*ms)),
			path: Limit{100 * s, 240*s + 50*ms}, how: ResetIdle, ok: true, says: "is ended by an RST", idle: 50 * s},
		{name: "reset, and later one unasked", fresh: &yes, trials: lay(after(Answered, 100*s), after(ResetAsked, 240*s), after(ResetIdle, 241*s)),
			path: Limit{100 * s, 240*s + 50*ms}, how: ResetAsked, ok: true, says: "is answered by RST", idle: 50 * s},
		{name: "the shortest is lost", fresh: &yes, trials: lay(after(Silent, s), after(Silent, 2*s)),
			path: Limit{0, s + 50*ms}, how: Silent, ok: true, says: "silent for 1.1 s or less"},
		{name: "too short for keepalive", fresh: &yes, trials: lay(after(Answered, 1900*ms), after(Silent, 2*s)),
			path: Limit{1900 * ms, 2*s + 50*ms}, how: Silent, ok: true, says: "between 1.9 s and 2.1 s"},
		{name: "server", trials: lay(after(Answered, 50*s), after(Closed, 60*s), after(Closed, 60*s)),
			path: Limit{50 * s, 0}, ok: true, server: Limit{50 * s, 60*s + 50*ms}, says: "after between 50 s and 1 min 1 s without data: its own limit", doubts: "the server closes first", idle: 25 * s},
		{name: "server at once", trials: lay(after(Closed, 10*ms)),
			server: Limit{0, 60 * ms}, says: "after 60 ms or less without data"},
		{name: "server, and the path before it", fresh: &yes, trials: lay(after(Answered, 20*s), after(Silent, 40*s), after(Closed, 60*s)),
			path: Limit{20 * s, 40*s + 50*ms}, how: Silent, ok: true, server: Limit{20 * s, 60*s + 50*ms}, says: "gets no answer", idle: 10 * s},
		{name: "another was idle for longer", fresh: &yes, trials: lay(after(Silent, 20*s), after(Answered, 40*s)),
			path: Limit{0, 20*s + 50*ms}, how: Silent, says: "not by how long they were idle: one was after 20 s, and another was still known after 40 s"},
		{name: "the peer is gone", fresh: &no, trials: lay(after(Answered, 20*s), after(Silent, 40*s), after(Silent, 10*s)),
			path: Limit{0, 10*s + 50*ms}, how: Silent, says: "a new one was not answered either"},
		{name: "a new one is lost too, others not", fresh: &no, trials: lay(after(Answered, 5*s), after(Silent, 40*s), after(Answered, 30*s)),
			path: Limit{30 * s, 40*s + 50*ms}, how: Silent, says: "and so was a new one, while others were answered"},
		{name: "ended too early", trials: lay(after(Answered, 20*s), after(Silent, 40*s)),
			path: Limit{20 * s, 40*s + 50*ms}, how: Silent, says: "ended before it was seen whether a new one is answered"},
		{name: "the server probes", trials: lay(broken(after(Answered, 15*s), 23), after(Answered, 10*s)),
			path: Limit{15 * s, 0}, ok: true, says: "was silent for longer than 15 s", doubts: "the server's own segments break it"},
		{name: "the server probes some", trials: lay(broken(after(Answered, 15*s), 1), after(Answered, 100*s)),
			path: Limit{100 * s, 0}, ok: true, says: "was silent for longer than 15 s", doubts: "give --most more than 6m", idle: 50 * s},
		{name: "the server probes, and the path is shorter", fresh: &yes, trials: lay(broken(after(Answered, 15*s), 1), after(Silent, 16*s)),
			path: Limit{15 * s, 16*s + 50*ms}, how: Silent, ok: true, says: "this end takes it for open", doubts: "whether a middlebox drops", idle: 7 * s},
		{name: "each is reset", fresh: &no, trials: lay(after(ResetIdle, s), after(ResetIdle, 2*s)),
			path: Limit{0, s + 50*ms}, how: ResetIdle, says: "Every connection was ended by RST, even after 1 s, and a new one was not answered either", doubts: "tcpvet probe keepalive db:5432"},
		{name: "nothing is ever answered", fresh: &no, trials: lay(after(Silent, s), after(Silent, 2*s)),
			path: Limit{0, s + 50*ms}, how: Silent, says: "not even after 1 s, and a new one was not answered either: keepalive probes get no answer there, or", doubts: "tcpvet probe keepalive db:5432"},
	} {
		i := Idle{Target: "db:5432", Remote: netip.MustParseAddrPort("10.0.3.9:5432"), Most: 360 * s, Fresh: test.fresh, Trials: test.trials, Heard: test.heard, Failed: test.failed, Why: "too many open files", Interrupted: test.interrupted}
		path, how, ok := i.Path()
		if path != test.path || how != test.how || ok != test.ok {
			t.Errorf("%s: the path %+v, %v, %v; want %+v, %v, %v", test.name, path, how, ok, test.path, test.how, test.ok)
		}
		if server, closes := i.Server(); server != test.server || closes != (test.server.Ended > 0) {
			t.Errorf("%s: the server %+v, %v; want %+v", test.name, server, closes, test.server)
		}
		r := i.Read()
		if text := strings.Join(r.Text, "\n"); !strings.Contains(text, test.says) {
			t.Errorf("%s: %q is not in\n%s", test.name, test.says, text)
		}
		if !slices.ContainsFunc(append(r.Unknown, ""), func(u string) bool { return strings.Contains(u, test.doubts) }) {
			t.Errorf("%s: %q is not in\n%s", test.name, test.doubts, strings.Join(r.Unknown, "\n"))
		}
		if !ok && slices.ContainsFunc(r.Unknown, func(u string) bool { return strings.Contains(u, "the server sends first") }) {
			t.Errorf("%s: it speaks of a silence that was not survived: %q", test.name, r.Unknown)
		}
		if test.name == "the server probes" && slices.ContainsFunc(r.Unknown, func(u string) bool { return strings.Contains(u, "--most") }) {
			t.Errorf("%s: more of --most would not help: %q", test.name, r.Unknown)
		}
		if got := r.Keepalive; (got == nil) != (test.idle == 0) || got != nil && got.Idle != test.idle {
			t.Errorf("%s: keepalive %+v, want idle %v", test.name, got, test.idle)
		}
		if i.Forgets() != (test.ok && test.path.Ended > 0) {
			t.Errorf("%s: forgets is %v", test.name, i.Forgets())
		}
	}
}

// Half of what was survived, one lost probe included, is inside of it whatever it is;
// and the kernel takes the values.
func TestKeepaliveWithin(t *testing.T) {
	for survived := time.Duration(0); survived < 40*time.Hour; survived += survived/7 + 250*time.Millisecond {
		timers, ok := KeepaliveWithin(survived)
		if ok != (survived >= 2*time.Second) {
			t.Fatalf("%v: %v", survived, ok)
		}
		if !ok {
			continue
		}
		if err := timers.Check(); err != nil || timers.Idle > survived/2 || timers.Interval > timers.Idle || timers.Idle+timers.Interval > survived {
			t.Errorf("%v: %+v, %v", survived, timers, err)
		}
		// The kernel waits for the longer of the two once a probe was answered.
		if max(timers.Idle, timers.Interval) > survived/2 {
			t.Errorf("%v: silences of %v", survived, timers.Interval)
		}
	}
	if got, _ := KeepaliveWithin(350 * time.Second); got != (tcpvet.Timers{Keepalive: true, Idle: 175 * time.Second, Interval: 15 * time.Second, Count: 4}) {
		t.Errorf("for 350 s: %+v", got)
	}
}

// Nothing is advised for a way that was not used, and the commands are whole.
func TestIdleRemedies(t *testing.T) {
	i := Idle{Target: "db:5432", Remote: netip.MustParseAddrPort("[2001:db8::9]:5432"), Most: time.Minute, Trials: lay(after(Answered, 60*time.Second))}
	want := []string{
		"tcpvet run --keepalive 30s,7s,4 -- COMMAND",
		"tcpvet fix keepalive --idle 30s --interval 7s --count 4 'dst [2001:db8::9]:5432'",
		"tcpvet fix sysctl net.ipv4.tcp_keepalive_time=30",
	}
	lost := i
	lost.Trials = lay(after(Answered, 60*time.Second), after(Silent, 70*time.Second))
	lost.Fresh = new(true)
	for _, test := range []struct {
		i    Idle
		want []string
	}{{i, want[:2]}, {lost, want}} { // the host's setting, where a limit was met
		var commands []string
		for _, r := range test.i.Read().Remedies {
			commands = append(commands, r.Command())
		}
		if !slices.Equal(commands, test.want) {
			t.Errorf("got %q, want %q", commands, test.want)
		}
	}
	closed := Idle{Target: "db:5432", Loopback: true, Trials: lay(after(Answered, 50*time.Second), after(Closed, 60*time.Second))}
	if r := closed.Read(); len(r.Remedies) != 0 || !strings.HasPrefix(r.Unknown[0], "how long the server keeps a connection on which something was said") {
		t.Errorf("closed, and nothing was said: %+v", r)
	}
	closed.Wrote = 18
	if r := closed.Read(); len(r.Remedies) != 1 || !strings.Contains(r.Remedies[0].String(), "has not used for 45 s") || len(r.Unknown) != 1 {
		t.Errorf("closed, and something was said: %+v", r)
	}
	i.Loopback = true
	if r := i.Read(); len(r.Remedies) != 0 || r.Keepalive != nil || len(r.Unknown) != 1 {
		t.Errorf("over loopback: %+v", r)
	}
}

func TestAnswers(t *testing.T) {
	for fate, says := range map[Fate]string{
		Answered: "answers keepalive probes: 2 of 3", Silent: "answers no keepalive probe: 3 probes in 5 s", ResetAsked: "by RST, after a second of silence",
		ResetIdle: "before it was asked anything", Closed: "closed it (FIN) before a probe was answered", Undecided: "sent data at the same time",
	} {
		a := Answers{Target: "db:5432", Remote: netip.MustParseAddrPort("10.0.3.9:5432"), Fate: fate, Probes: 3, Answered: 2, Wait: 5 * time.Second, Slowest: time.Millisecond}
		if r := a.Read(); !strings.Contains(r.Text[0], says) || len(r.Unknown) == 0 {
			t.Errorf("%v: %q, %q; want %q", fate, r.Text, r.Unknown, says)
		}
	}
	for _, test := range []struct {
		a     Answers
		says  string // in Text
		doubt string // in Unknown
	}{
		{Answers{Fate: Answered, Probes: 2, Answered: 2, Ended: true}, "2 of 2, the slowest within 1 ms. A peer that is gone can be told from one that is silent. Then it closed the connection", "who answered"},
		{Answers{Fate: Answered, Probes: 2, Answered: 2, Interrupted: true}, "2 of 2", "it was ended before all probes were sent"},
	} {
		r := test.a.Read()
		if text := strings.Join(r.Text, " "); !strings.Contains(text, test.says) || !strings.Contains(strings.Join(r.Unknown, "\n"), test.doubt) {
			t.Errorf("%+v: %q, %q; want %q, %q", test.a, text, r.Unknown, test.says, test.doubt)
		}
	}
}
