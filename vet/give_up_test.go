package vet_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// The times are those of Documentation/networking/ip-sysctl.rst (tcp_retries2,
// tcp_orphan_retries, tcp_syn_retries, tcp_synack_retries), or sums by hand.
func TestGivesUp(t *testing.T) {
	type giveUp func(*tcpvet.Netns) (time.Duration, bool)
	for _, test := range []struct {
		name     string
		of       giveUp
		settings map[string]string
		want     float64 // seconds; below 0 for not known
	}{
		{"the default of data", vet.DataGivesUp, map[string]string{"tcp_retries2": "15"}, 924.6},
		{"9 doublings fit under 120 s", vet.DataGivesUp, map[string]string{"tcp_retries2": "9"}, 204.6},
		{"8 retries", vet.DataGivesUp, map[string]string{"tcp_retries2": "8"}, 102.2},
		{"one more is linear", vet.DataGivesUp, map[string]string{"tcp_retries2": "10"}, 324.6},
		{"no retries", vet.DataGivesUp, map[string]string{"tcp_retries2": "0"}, 0.2},
		{"the least RTO that can be the longest", vet.DataGivesUp, map[string]string{"tcp_retries2": "3", "tcp_rto_max_ms": "1000"}, 1.4 + 1},
		{"nothing known", vet.DataGivesUp, nil, -1},
		{"an orphan's default", vet.OrphanGivesUp, map[string]string{"tcp_orphan_retries": "0"}, 102.2},
		{"an orphan's own", vet.OrphanGivesUp, map[string]string{"tcp_orphan_retries": "3"}, 3},
		{"an orphan of which nothing is known", vet.OrphanGivesUp, map[string]string{"tcp_retries2": "15"}, -1},
		{"connect since 6.5", vet.ConnectGivesUp, map[string]string{"tcp_syn_retries": "6", "tcp_syn_linear_timeouts": "4"}, 131},
		{"connect before", vet.ConnectGivesUp, map[string]string{"tcp_syn_retries": "6"}, 127},
		{"connect, without knowing", vet.ConnectGivesUp, map[string]string{"tcp_syn_linear_timeouts": "4"}, -1},
		{"connect past the longest RTO", vet.ConnectGivesUp, map[string]string{"tcp_syn_retries": "8"}, 127 + 120 + 120},
		{"a handshake", vet.HandshakeGivesUp, map[string]string{"tcp_synack_retries": "5"}, 63},
		{"a handshake, without knowing", vet.HandshakeGivesUp, nil, -1},
	} {
		n := tcpvet.Netns{Sysctls: make(map[string]string)}
		for name, value := range test.settings {
			n.Sysctls["net.ipv4."+name] = value
		}
		got, ok := test.of(&n)
		want := time.Duration(test.want*1e6) * time.Microsecond
		if ok != (test.want >= 0) || ok && got != want {
			t.Errorf("%s: %v, %v; want %v", test.name, got, ok, want)
		}
	}
	if got := vet.Late(8 * time.Second); got != 9*time.Second {
		t.Errorf("8 s may be %v late", got)
	}
}
