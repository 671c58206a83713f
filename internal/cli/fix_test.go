package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/run"
)

// What a selection leaves open decides whether it takes --all, not how it is written.
func TestEverything(t *testing.T) {
	for _, tt := range []struct {
		filter string
		look   look
		want   bool
	}{
		{"", look{}, true},
		{"state close-wait", look{}, true},
		{"", look{states: []string{"close-wait"}}, true},
		{"age > 5m and timer off and recvq = 1 and role client", look{}, true},
		{"dst 0.0.0.0/0", look{}, true},
		{"src [::/0]", look{}, true},
		{"dst 10.0.3.7 or not dst 10.0.3.7", look{}, true},
		{"not dst 10.0.3.7:8080", look{}, true},
		{"dport != 22", look{}, true},
		{"dport >= 0", look{}, true},
		{"uid != 1000000", look{}, true},
		{"state close-wait or dst 10.0.3.7", look{}, true},
		{"not ( state close-wait and dst 10.0.3.7 )", look{}, true},
		{"state close-wait and dst 10.0.3.7", look{}, false},
		{"dst 10.0.3.7", look{}, false},
		{"dst 10/8", look{}, false},
		{"sport = :443", look{}, false},
		{"sport >= 32768", look{}, false},
		{"uid = 0", look{}, false},
		{"cookie = 5", look{}, false},
		{"dst [2001:db8::/32]", look{}, false},
		{"", look{pids: []int{4121}}, false},
		{"", look{comms: []string{"shop"}}, false},
		{"", look{containers: []string{"api"}}, false},
		{"dst 10.0.3.7 or state close-wait", look{states: []string{"estab"}}, false},
	} {
		sel, err := tt.look.selection([]string{tt.filter})
		if err != nil {
			t.Fatalf("%q: %v", tt.filter, err)
		}
		if got := sel.everything(); got != tt.want {
			t.Errorf("%q, %v: %v, want %v", tt.filter, tt.look.states, got, tt.want)
		}
	}
}

func TestNamedStates(t *testing.T) {
	all := tcpvet.AllStates
	for _, tt := range []struct {
		filter string
		flag   []string
		want   tcpvet.StateSet
	}{
		{"dst 10.0.3.7", nil, 0},
		{"state all dst 10.0.3.7", nil, 0},
		{"state time-wait dst 10.0.3.7", nil, tcpvet.SetOf(tcpvet.TimeWait)},
		{"exclude listening dst 10.0.3.7", nil, all &^ tcpvet.SetOf(tcpvet.Listen, tcpvet.BoundInactive, tcpvet.Unconn)},
		{"state listening dst 10.0.3.7", nil, tcpvet.SetOf(tcpvet.Listen)},
		{"state time-wait dst 10.0.3.7", []string{"estab"}, tcpvet.SetOf(tcpvet.Established)},
	} {
		l := look{states: tt.flag}
		sel, err := l.selection([]string{tt.filter})
		if err != nil {
			t.Fatal(err)
		}
		if got := sel.named(); got != tt.want {
			t.Errorf("%q, %v: %b, want %b", tt.filter, tt.flag, got, tt.want)
		}
	}
}

// The line that is printed says the same as the one that was typed.
func TestAgain(t *testing.T) {
	for _, tt := range []struct {
		typed []string
		want  string
	}{
		{[]string{"close", "--pid", "4121,5", "state", "close-wait", "dst", "10.0.3.7:8080", "--older-than", "5m", "-o", "wide"},
			"tcpvet fix close --pid 4121,5 --older-than 5m state close-wait dst 10.0.3.7:8080 --apply"},
		{[]string{"close", "--comm", "my app", "( dst [::1]:80 )", "--all", "--accept-risk", "changes-kernel", "--color", "never"},
			"tcpvet fix close --comm 'my app' --all '( dst [::1]:80 )' --apply"},
		{[]string{"keepalive", "--idle=1h", "--count", "3", "--watch", "--pid", "1"}, "tcpvet fix keepalive --idle 1h --count 3 --watch=2s --pid 1 --apply"},
		{[]string{"sysctl", "net.ipv4.ip_local_port_range=10240 60999", "--journal", "/my folder"},
			"tcpvet fix sysctl --journal '/my folder' 'net.ipv4.ip_local_port_range=10240 60999' --apply"},
	} {
		fix := fixCommand(IO{Out: io.Discard, Err: io.Discard})
		root := rootCommand(IO{})
		root.AddCommand(fix)
		cmd, rest, err := root.Find(append([]string{"fix"}, tt.typed...))
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Fatal(err)
		}
		if got := again(cmd, cmd.Flags().Args(), "--apply"); got != tt.want {
			t.Errorf("%q:\n%s, want\n%s", tt.typed, got, tt.want)
		}
	}
}

// A setting that is named is meant for one's own namespace, a look for all.
func TestPlaceOfSettings(t *testing.T) {
	for _, tt := range []struct {
		flag  string
		named bool
		want  string
	}{{"", true, "self"}, {"", false, ""}, {"blue", true, "blue"}, {"all", true, "all"}, {"blue", false, "blue"}} {
		if got := placeOf(tt.flag, tt.named); got != tt.want {
			t.Errorf("%q, %v: %q, want %q", tt.flag, tt.named, got, tt.want)
		}
	}
}

func statusOf(err error) int {
	var e *exit
	if errors.As(err, &e) {
		return e.status
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestFixStatus(t *testing.T) {
	const planned, ok, same, gone, no, bad, back = tcpvet.OutcomePlanned, tcpvet.OutcomeApplied, tcpvet.OutcomeUnchanged,
		tcpvet.OutcomeGone, tcpvet.OutcomeRefused, tcpvet.OutcomeFailed, tcpvet.OutcomeUndone
	broken := errors.New("the disk is full")
	for _, tt := range []struct {
		outcomes       []tcpvet.Outcome
		err            error
		shown, applied int
	}{
		{nil, nil, 0, 3},
		{[]tcpvet.Outcome{planned}, broken, 0, 3},
		{[]tcpvet.Outcome{ok, ok}, nil, 0, 0},
		{[]tcpvet.Outcome{back}, nil, 0, 0},
		{[]tcpvet.Outcome{ok, same, gone}, nil, 0, 0},
		{[]tcpvet.Outcome{same, gone}, nil, 0, 0},
		{[]tcpvet.Outcome{ok, no}, nil, 3, 1},
		{[]tcpvet.Outcome{planned, no}, nil, 0, 3},
		{[]tcpvet.Outcome{ok, bad}, nil, 3, 1},
		{[]tcpvet.Outcome{ok, planned}, broken, 0, 1},
		{[]tcpvet.Outcome{ok}, broken, 0, 1},
		{[]tcpvet.Outcome{no, same}, nil, 3, 3},
		{[]tcpvet.Outcome{bad}, nil, 3, 3},
	} {
		var p tcpvet.Plan
		for _, o := range tt.outcomes {
			p.Changes = append(p.Changes, tcpvet.Change{Outcome: o})
		}
		if got := statusOf(shown(&p)); got != tt.shown {
			t.Errorf("%q shown: %d, want %d", tt.outcomes, got, tt.shown)
		}
		if got := statusOf(applied(&p, tt.err)); got != tt.applied {
			t.Errorf("%q applied: %d, want %d", tt.outcomes, got, tt.applied)
		}
	}
}

// A signal that came in between does not hide what was applied.
func TestFixInterrupted(t *testing.T) {
	const ok, planned = tcpvet.OutcomeApplied, tcpvet.OutcomePlanned
	err := fmt.Errorf("set the keepalive of sockets: %w", context.Canceled)
	unwritten := &remedy.OutcomeError{ID: "x", Err: errors.New("no room")}
	for _, tt := range []struct {
		outcomes []tcpvet.Outcome
		err      error
		status   int
		says     string
	}{
		{[]tcpvet.Outcome{planned}, err, statusBlind, "tcpvet: nothing was applied: interrupted\n"},
		{[]tcpvet.Outcome{ok, planned}, err, statusFindings, "tcpvet: applied in part: interrupted\n"},
		{[]tcpvet.Outcome{ok, planned}, errors.Join(err, unwritten), statusFindings, "tcpvet: applied in part: interrupted\nno room; the outcomes of x are told here alone, and fix undo x reads what is there\n"},
		{[]tcpvet.Outcome{ok}, unwritten, statusFindings, "tcpvet: applied: no room; the outcomes of x are told here alone, and fix undo x reads what is there\n"},
	} {
		p := tcpvet.Plan{ID: "x"}
		for _, o := range tt.outcomes {
			p.Changes = append(p.Changes, tcpvet.Change{Outcome: o})
		}
		var says strings.Builder
		if got := status(IO{Err: &says}, applied(&p, uncanceled(tt.err))); got != tt.status || says.String() != tt.says {
			t.Errorf("%q, %v: %d, %q", tt.outcomes, tt.err, got, says.String())
		}
	}
}

func TestParseKeepalive(t *testing.T) {
	for _, tt := range []struct {
		text string
		want tcpvet.Timers
		ok   bool
	}{
		{"30s,3s,5", tcpvet.DefaultTimers(), true},
		{"30,3,5", tcpvet.DefaultTimers(), true},
		{"1m, 10s ,3", tcpvet.Timers{Keepalive: true, Idle: time.Minute, Interval: 10 * time.Second, Count: 3}, true},
		{"off", tcpvet.Timers{}, true},
		{"", tcpvet.Timers{}, false}, {"30s", tcpvet.Timers{}, false}, {"30s,3s", tcpvet.Timers{}, false}, {"30s,3s,5,1", tcpvet.Timers{}, false},
		{"x,3s,5", tcpvet.Timers{}, false}, {"30s,,5", tcpvet.Timers{}, false}, {"30s,3s,5s", tcpvet.Timers{}, false},
		{"99999999999999999999,3,5", tcpvet.Timers{}, false},
	} {
		got, err := parseKeepalive(tt.text)
		if (err == nil) != tt.ok || got != tt.want {
			t.Errorf("%q: %+v, %v", tt.text, got, err)
		}
	}
}

func FuzzParseKeepalive(f *testing.F) {
	for _, seed := range []string{"30s,3s,5", "off", "-1,1e9s,-5", "0x1,2,3", ",,", strings.Repeat("9", 40) + ",1,1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		timers, err := parseKeepalive(text)
		if err != nil && timers != (tcpvet.Timers{}) {
			t.Errorf("%q: %+v with %v", text, timers, err)
		}
		if o := (run.Options{Timers: timers}); err == nil && o.Check() == nil {
			if timers.Idle < time.Second || timers.Interval < time.Second || timers.Count < 1 {
				t.Errorf("%q is taken as %+v", text, timers)
			}
		}
	})
}
