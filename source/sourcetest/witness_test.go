package sourcetest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// The witness hears each breach of the order that Observer states.
func TestWitness(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.1:80")
	p := tcpvet.Process{PID: 7, Start: 1}
	socket := func(ns tcpvet.NetnsID, state tcpvet.State, holder tcpvet.Process, others ...tcpvet.Process) func(*witness) {
		return func(w *witness) {
			_ = w.Socket(&tcpvet.Socket{Netns: ns, State: state, Local: at, Remote: at, Holder: holder, SharedWith: others})
		}
	}
	host := func(w *witness) { w.Host(tcpvet.Host{}) }
	space := func(id tcpvet.NetnsID) func(*witness) {
		return func(w *witness) { w.Netns(tcpvet.Netns{ID: id}) }
	}
	process := func(w *witness) { w.Process(p, tcpvet.ProcessInfo{}) }
	for _, test := range []struct {
		events []func(*witness)
		hears  string
	}{
		{[]func(*witness){host, space(1), socket(1, tcpvet.Listen, tcpvet.Nobody), process, socket(1, tcpvet.Established, p), space(2), socket(2, tcpvet.Listen, p)}, ""},
		{[]func(*witness){host, space(1), space(2), socket(2, tcpvet.Established, tcpvet.Unseen), socket(1, tcpvet.Listen, tcpvet.Nobody)}, ""},
		{[]func(*witness){host, host}, "the host was told 2 times"},
		{[]func(*witness){host, space(1), host}, "the host came after"},
		{[]func(*witness){space(1)}, "came before the host"},
		{[]func(*witness){host, space(1), space(1)}, "namespace 1 was told twice"},
		{[]func(*witness){host, socket(1, tcpvet.Listen, tcpvet.Nobody)}, "came before its namespace 1"},
		{[]func(*witness){host, space(1), socket(1, tcpvet.TimeWait, tcpvet.Nobody), socket(1, tcpvet.Listen, tcpvet.Nobody)}, "came after sockets that do not listen"},
		{[]func(*witness){host, space(1), space(2), socket(1, tcpvet.TimeWait, tcpvet.Nobody), socket(2, tcpvet.Listen, tcpvet.Nobody), socket(1, tcpvet.Closing, tcpvet.Nobody)}, ""},
		{[]func(*witness){host, space(1), space(2), socket(1, tcpvet.TimeWait, tcpvet.Nobody), socket(2, tcpvet.Closing, tcpvet.Nobody), socket(1, tcpvet.Listen, tcpvet.Nobody)}, "came after sockets that do not listen"},
		{[]func(*witness){host, space(1), socket(1, tcpvet.Established, p)}, "came before process 7"},
		{[]func(*witness){host, space(1), process, socket(1, tcpvet.Established, p, tcpvet.Process{PID: 8})}, "came before process 8"},
		{[]func(*witness){process, process}, "process 7 was told twice"},
		{[]func(*witness){func(w *witness) { w.Process(tcpvet.Unseen, tcpvet.ProcessInfo{}) }}, "was told as a process"},
		{[]func(*witness){func(w *witness) { w.Gap(tcpvet.Gap{What: "sockets"}) }}, "does not say what or why"},
		{[]func(*witness){func(w *witness) { w.Changed(0) }}, "Changed(0)"},
	} {
		w := newWitness()
		for _, event := range test.events {
			event(w)
		}
		got := strings.Join(w.list, "\n")
		if test.hears == "" && got != "" || !strings.Contains(got, test.hears) {
			t.Errorf("%s: heard %q, want %q", fmt.Sprint(len(test.events), " events"), got, test.hears)
		}
	}
}
