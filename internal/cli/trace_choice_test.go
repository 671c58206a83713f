package cli

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// choiceOf reads a filter and flags as trace does.
func choiceOf(t *testing.T, l look, states bool, filter string) *choice {
	t.Helper()
	sel, err := l.selection([]string{filter})
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChoice(sel, states)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChoice(t *testing.T) {
	e := tcpvet.Event{
		Kind: tcpvet.EventState, Cookie: 7, Process: tcpvet.Process{PID: 42, Start: 1}, Comm: "app", Container: &tcpvet.Container{ID: "0123456789ab", Name: "api"},
		Role: tcpvet.Client, Local: netip.MustParseAddrPort("10.0.0.1:41001"), Remote: netip.MustParseAddrPort("10.0.3.7:8080"),
		From: tcpvet.Established, To: tcpvet.CloseWait,
	}
	unknown := e
	unknown.Process, unknown.Comm, unknown.Container, unknown.Role, unknown.Cookie = tcpvet.Nobody, "", nil, tcpvet.RoleUnknown, 0
	own := e
	own.Process.PID = int32(os.Getpid())
	for _, test := range []struct {
		l      look
		filter string
		e      *tcpvet.Event
		want   bool
	}{
		{look{}, "", &e, true},
		{look{}, "", &own, false}, // what is done to explain others
		{look{}, "dst 10.0.3.7:8080", &e, true},
		{look{}, "src 10.0.3.7", &e, false},
		{look{}, "dport = :8080 and not sport = :22", &e, true},
		{look{}, "role client", &e, true},
		{look{}, "role server", &e, false},
		{look{}, "role client", &unknown, false},
		{look{}, "not role client", &unknown, false}, // not known is neither
		{look{}, "cookie = 7", &e, true},
		{look{}, "cookie != 8", &unknown, false},
		{look{}, "state close-wait", &e, true},
		{look{}, "state established", &e, false},
		{look{pids: []int{42}}, "", &e, true},
		{look{pids: []int{43}}, "", &e, false},
		{look{pids: []int{42}}, "", &unknown, false},
		{look{comms: []string{"app"}}, "", &e, true},
		{look{comms: []string{"ap"}}, "", &e, false},
		{look{containers: []string{"api"}}, "", &e, true},
		{look{containers: []string{"0123"}}, "", &e, true},
		{look{containers: []string{"web"}}, "", &e, false},
		{look{containers: []string{"api"}}, "", &unknown, false},
		{look{pids: []int{42}}, "dst 10.0.3.8", &e, false},
		{look{pids: []int{43}}, "dst 10.0.3.8", &tcpvet.Event{Kind: tcpvet.EventLost, Count: 3}, true},
	} {
		c := choiceOf(t, test.l, true, test.filter)
		if got := c.has(test.e); got != test.want {
			t.Errorf("%+v %q: %v", test.l, test.filter, got)
		}
	}
	all := choiceOf(t, look{comms: []string{"app"}}, true, "dst 10.0.3.7:8080 and role client")
	if n := testing.AllocsPerRun(100, func() { all.has(&e) }); n != 0 {
		t.Errorf("an event allocates %v times", n)
	}
}

// What no event tells is refused, not passed over.
func TestChoiceRefuses(t *testing.T) {
	for filter, want := range map[string]string{
		"age > 5m": "tcp-info", "recvq > 0": "queues", "uid = 0": "uid", "timer on": "timer", "inode = 5": "inode",
		"state close-wait": "--states", "exclude established": "--states", "dst [fe80::1%2]:80": "link",
	} {
		sel, err := new(look).selection([]string{filter})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if _, err := newChoice(sel, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filter, err, want)
		}
	}
}

// The line at the end adds up.
func TestTraced(t *testing.T) {
	var n traced
	for _, e := range []tcpvet.Event{
		{Kind: tcpvet.EventOpen}, {Kind: tcpvet.EventOpen}, {Kind: tcpvet.EventOpen}, {Kind: tcpvet.EventFail, Count: 3}, {Kind: tcpvet.EventFail},
		{Kind: tcpvet.EventClose, Took: 5}, {Kind: tcpvet.EventClose, Took: -1}, {Kind: tcpvet.EventState},
	} {
		n.add(&e)
	}
	var b strings.Builder
	n.tell(&b, false)
	if want := "traced: 3 opened, 4 failed, 2 closed; of those opened 2 still open\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	n.add(&tcpvet.Event{Kind: tcpvet.EventLost, Count: 12})
	b.Reset()
	n.tell(&b, false)
	n.tell(&b, true)
	if want := "traced: 3 opened, 4 failed, 2 closed; 12 events lost\ntraced: 4 failed; 12 events lost\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
