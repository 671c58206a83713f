package vet_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func TestEnter(t *testing.T) {
	in := func(pid int32, ns tcpvet.NetnsID) (tcpvet.Process, tcpvet.ProcessInfo) {
		return tcpvet.Process{PID: pid, Start: 1}, tcpvet.ProcessInfo{Netns: ns}
	}
	c := &tcpvet.Census{
		Self:      1,
		Processes: make(map[tcpvet.Process]tcpvet.ProcessInfo),
		Netns:     map[tcpvet.NetnsID]tcpvet.Netns{2: {Names: []string{"blue"}}, 4: {Names: []string{"it's green"}}},
	}
	for pid, ns := range map[int32]tcpvet.NetnsID{10: 1, 20: 2, 21: 3, 22: 3} {
		p, info := in(pid, ns)
		c.Processes[p] = info
	}
	for _, tt := range []struct {
		name string
		ns   tcpvet.NetnsID
		near int32
		want string
		ok   bool
	}{
		{"one's own", 1, 20, "", true},
		{"not known", 0, 0, "", true},
		{"by its holder", 2, 20, "nsenter -t 20 -n ", true},
		{"a holder elsewhere, with a socket from there", 2, 10, "ip netns exec blue ", true},
		{"by name", 2, 0, "ip netns exec blue ", true},
		{"a name that a shell would read", 4, 0, `ip netns exec 'it'\''s green' `, true},
		{"by the first process in it", 3, 0, "nsenter -t 21 -n ", true},
		{"no way in", 5, 0, "", false},
	} {
		got, ok := vet.Enter(c, tt.ns, tcpvet.Process{PID: tt.near, Start: 1})
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestNetnsFlag(t *testing.T) {
	at, other := tcpvet.Process{PID: 4121, Start: 1}, tcpvet.Process{PID: 5, Start: 1}
	c := &tcpvet.Census{
		Self:      1,
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{at: {Netns: 3}, other: {Netns: 2}},
		Netns:     map[tcpvet.NetnsID]tcpvet.Netns{2: {Names: []string{"blue"}}, 4: {Names: []string{"it's green"}}},
	}
	for ns, want := range map[tcpvet.NetnsID]string{1: "", 2: "--netns blue", 3: "--netns pid:4121", 4: `--netns 'it'\''s green'`} {
		enter, ok := vet.Enter(c, ns, at)
		if got := vet.NetnsFlag(enter); !ok || got != want {
			t.Errorf("namespace %d: %q, want %q", ns, got, want)
		}
	}
}
