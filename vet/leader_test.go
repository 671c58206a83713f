package vet_test

import (
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// TestEnterWithoutLeader leaves out processes whose main thread has exited: the
// kernel gives no way into a namespace by their folder in /proc.
func TestEnterWithoutLeader(t *testing.T) {
	near, next := tcpvet.Process{PID: 20, Start: 1}, tcpvet.Process{PID: 21, Start: 1}
	c := &tcpvet.Census{Self: 1, Processes: map[tcpvet.Process]tcpvet.ProcessInfo{
		near: {Netns: 3, LeaderExited: true},
		next: {Netns: 3},
	}}
	if got, ok := vet.Enter(c, 3, near); got != "nsenter -t 21 -n " || !ok {
		t.Errorf("%q, %v; want the way by process 21", got, ok)
	}
	delete(c.Processes, next)
	if got, ok := vet.Enter(c, 3, near); ok {
		t.Errorf("%q, want no way in", got)
	}
	c.Netns = map[tcpvet.NetnsID]tcpvet.Netns{3: {Names: []string{"blue"}}}
	if got, ok := vet.Enter(c, 3, near); got != "ip netns exec blue " || !ok {
		t.Errorf("%q, %v; want the way by name", got, ok)
	}
}
