package remedy

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
)

// noted gives the notes of a plan for so many sockets in each state.
func noted(timers tcpvet.Timers, before tcpvet.Timers, states map[tcpvet.State]int) string {
	k := keepaliveNotes{timers: timers}
	for state, n := range states {
		for range n {
			after := timers
			if timers.UserTimeout == 0 {
				after.UserTimeout = before.UserTimeout
			}
			k.count(&tcpvet.Change{Target: tcpvet.Target{State: state, Cookie: 1}, Before: tcpvet.Value{Timers: before}, After: tcpvet.Value{Timers: after}})
		}
	}
	return strings.Join(k.sentences(), "\n")
}

func TestKeepaliveNotes(t *testing.T) {
	const s = time.Second
	def := tcpvet.DefaultTimers()
	with := func(userTimeout time.Duration) tcpvet.Timers {
		t := def
		t.UserTimeout = userTimeout
		return t
	}
	off := tcpvet.Timers{Idle: 7200 * s, Interval: 75 * s, Count: 9}
	on := tcpvet.Timers{Keepalive: true, Idle: 15 * s, Interval: 15 * s, Count: 9}
	ownTimeout := off
	ownTimeout.UserTimeout = 20 * s
	for _, test := range []struct {
		name           string
		timers, before tcpvet.Timers
		states         map[tcpvet.State]int
		has, not       []string
	}{
		{"default", def, off, map[tcpvet.State]int{tcpvet.Established: 10_000},
			[]string{
				"about 45 s after the peer was last heard: 30 s of silence, then 5 probes 3 s apart",
				"up to 334 probes a second while all 10,000 are idle", // 10,000 / 30
				"an outage of more than 12 s can end idle connections that would have outlived it, and one of more than 45 s ends them all",
				"the descriptor only when the program closes it",
				"net.ipv4.tcp_keepalive_time",
				"tcpvet run",
			},
			[]string{"CLOSE-WAIT", "FIN-WAIT-2", "user timeout", "had keepalive before", "listener", "all at once", "on this host"}},
		// An answered probe is followed by the next after the longer of the two.
		{"interval above idle", tcpvet.Timers{Keepalive: true, Idle: 2 * s, Interval: 6 * s, Count: 2}, off, map[tcpvet.State]int{tcpvet.CloseWait: 60},
			[]string{"up to 10 probes a second", "free about 6 s after", "more than 6 s can end", "about 14 s after the peer", "more than 18 s ends them all"}, nil}, // 60 / 6
		{"new ones are not touched", def, off, map[tcpvet.State]int{tcpvet.Established: 1}, []string{"from now on are not touched: tcpvet run and --watch"}, []string{"while this watches"}},
		{"too many", def, off, map[tcpvet.State]int{tcpvet.Established: 20_000}, []string{"all probes of some, which are then ended"}, nil}, // as measured
		{"shorter", def, tcpvet.Timers{Keepalive: true, Idle: 7200 * s, Interval: 75 * s, Count: 9}, map[tcpvet.State]int{tcpvet.Established: 5_001},
			[]string{"5,001 of them had keepalive before", "the silence counts from now"}, []string{"on this host"}},
		{"longer", def, on, map[tcpvet.State]int{tcpvet.Established: 5_001}, []string{"5,001 of them had keepalive before"}, []string{"on this host", "from now,"}}, // 15 s, and 30 s now
		{"few", def, off, map[tcpvet.State]int{tcpvet.Established: 7}, []string{"up to 0.3 probes a second while all 7 are idle"}, nil},
		{"close-wait", def, off, map[tcpvet.State]int{tcpvet.CloseWait: 3, tcpvet.FinWait2: 2},
			[]string{"3 of them are in CLOSE-WAIT", "the port is free about 30 s after that, or from now", "it answers every probe, and nothing ends", "2 of them are in FIN-WAIT-2"}, nil},
		{"on before", def, on, map[tcpvet.State]int{tcpvet.Established: 4}, []string{"4 of them had keepalive before: these values take the place of theirs."}, nil},
		{"user timeout that agrees", with(45 * s), off, map[tcpvet.State]int{tcpvet.Established: 1},
			[]string{"about 45 s after", "until the user timeout of 45 s is over", "not acknowledged for 45 s"}, []string{"contradict"}},
		{"user timeout that is short", with(20 * s), off, map[tcpvet.State]int{tcpvet.Established: 1},
			[]string{"about 33 s after", "contradict", "would end after 45 s, and the user timeout takes the place of the count (tcp(7)), so it ends after 33 s", "A user timeout of 45s agrees", "an outage that one probe is lost in can end"}, nil},
		{"user timeout of their own", def, ownTimeout, map[tcpvet.State]int{tcpvet.Established: 2},
			[]string{"2 of them have a user timeout of their own, which stays", "ends after 33 s (user timeout 20 s)"}, []string{"contradict"}},
		{"listeners alone", def, off, map[tcpvet.State]int{tcpvet.Listen: 1}, []string{"What the listener accepts from now on"}, []string{"probes a second", "outage"}},
		{"nothing", def, off, nil, nil, []string{" "}},
	} {
		got := noted(test.timers, test.before, test.states)
		for _, want := range test.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in:\n%s", test.name, want, got)
			}
		}
		for _, not := range test.not {
			if strings.Contains(got, not) {
				t.Errorf("%s: %q in:\n%s", test.name, not, got)
			}
		}
	}
}

// Where new sockets are watched for it does not say that they are left alone.
func TestKeepaliveNotesOfWatch(t *testing.T) {
	k := keepaliveNotes{timers: tcpvet.DefaultTimers(), watch: true}
	k.count(&tcpvet.Change{Target: tcpvet.Target{State: tcpvet.Established, Cookie: 1}, After: tcpvet.Value{Timers: k.timers}})
	text := strings.Join(k.sentences(), "\n")
	if !strings.Contains(text, "from now on get it too, while this watches. A program") || strings.Contains(text, "not touched") {
		t.Errorf("%s", text)
	}
}

func TestKeepaliveLeavesOut(t *testing.T) {
	known := tcpvet.FactCookie | tcpvet.FactInode | tcpvet.FactMini
	socket := func(state tcpvet.State, change func(*tcpvet.Socket)) *tcpvet.Socket {
		s := &tcpvet.Socket{Known: known, State: state, Cookie: 1, Inode: 2}
		if change != nil {
			change(s)
		}
		return s
	}
	orphan := func(s *tcpvet.Socket) { s.Inode = 0 }
	for _, test := range []struct {
		s         *tcpvet.Socket
		listeners bool
		want      leftOut
	}{
		{socket(tcpvet.Established, nil), false, ""},
		{socket(tcpvet.Established, orphan), false, ""}, // it waits to be accepted
		{socket(tcpvet.SynSent, nil), false, ""},
		{socket(tcpvet.CloseWait, nil), false, ""},
		{socket(tcpvet.FinWait1, nil), false, ""},
		{socket(tcpvet.FinWait2, nil), false, ""},
		{socket(tcpvet.FinWait1, orphan), false, leftClosing},
		{socket(tcpvet.FinWait2, orphan), false, leftClosing},
		{socket(tcpvet.FinWait2, func(s *tcpvet.Socket) { s.Mini, s.Known = true, tcpvet.FactCookie|tcpvet.FactMini }), false, leftClosing},
		{socket(tcpvet.LastAck, nil), false, leftClosing},
		{socket(tcpvet.Closing, nil), false, leftClosing},
		{socket(tcpvet.TimeWait, orphan), false, leftTimeWait},
		{socket(tcpvet.SynRecv, orphan), false, leftHandshake},
		{socket(tcpvet.BoundInactive, nil), false, leftBound},
		{socket(tcpvet.Listen, nil), false, leftListener},
		{socket(tcpvet.Listen, nil), true, ""},
		{socket(tcpvet.Established, func(s *tcpvet.Socket) { s.Known = 0 }), false, leftUnnamed},
		{socket(tcpvet.Established, func(s *tcpvet.Socket) { s.Cookie = 0 }), false, leftUnnamed},
		{socket(tcpvet.Established, func(s *tcpvet.Socket) { s.Holder.PID = int32(os.Getpid()) }), false, leftOwn},
	} {
		opt := KeepaliveOptions{Listeners: test.listeners}
		if got := opt.leavesOut(test.s); got != test.want {
			t.Errorf("%v: %q, want %q", test.s.State, got, test.want)
		}
	}
	k := keepaliveNotes{timers: tcpvet.DefaultTimers()}
	for _, why := range []leftOut{leftOwn, leftTimeWait, leftTimeWait} {
		k.leave(why)
	}
	want := []string{"Left out: 2 in TIME-WAIT: nothing is sent there any more, and 60 s end it.", "Left out: 1 of tcpvet itself."}
	if diff := cmp.Diff(want, k.sentences()); diff != "" {
		t.Error(diff)
	}
	for _, why := range []leftOut{leftTimeWait, leftClosing, leftHandshake, leftListener, leftBound, leftOwn, leftUnnamed} {
		k.leave(why)
	}
	if got := len(k.sentences()); got != 7 {
		t.Errorf("%d of 7 reasons are told", got)
	}
}
