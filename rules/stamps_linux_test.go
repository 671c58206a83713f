package rules_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/rules/ruletest"
	"github.com/tcpvet/tcpvet/vet"
)

// TestRootStampsDecide fills a range with TIME-WAITs. Whether timestamps were on when
// the connections opened decides whether the kernel connects, and no look can tell:
// the findings are the same, and only likely. While timestamps are on nothing warns:
// they nearly always were.
func TestRootStampsDecide(t *testing.T) {
	for _, tt := range []struct {
		name, opened, now string
		want              error
	}{
		{"on, then off", "1", "0", nil},
		{"always off", "0", "0", unix.EADDRNOTAVAIL},
		{"always on", "1", "1", nil},
		{"off, then on", "0", "1", unix.EADDRNOTAVAIL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kerneltest.Netns(t)
			s := stage{t}
			s.sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40009' net.ipv4.tcp_tw_reuse=2 net.ipv4.tcp_timestamps=" + tt.opened)
			l := s.listen("127.0.0.1:8080", 16)
			for range 10 {
				client := s.dial("", "127.0.0.1:8080")
				server := s.accept(l)
				s.close(client)
				s.close(server)
			}
			s.listen("127.0.0.1:8081", 16)
			s.dial("", "127.0.0.1:8081") // so that ss has a tcp_info to print: no rule is skipped
			s.sh("sysctl -qw net.ipv4.tcp_timestamps=" + tt.now)
			time.Sleep(1500 * time.Millisecond) // past tcp_tw_reuse_delay: 1 s, and less than the 60 s that they last

			findings := s.diagnose()
			exhausted := find(findings, "port-exhaustion", "127.0.0.1:8080")
			if exhausted == nil {
				t.Fatal("port-exhaustion finds nothing")
			}
			pressed := find(findings, "time-wait-pressure", "127.0.0.1:8080")
			if tt.now == "0" {
				if pressed == nil {
					t.Fatal("time-wait-pressure finds nothing")
				}
				for _, f := range []*tcpvet.Finding{exhausted, pressed} {
					if f.Certainty != tcpvet.Likely || !slices.Contains(f.Detail, vet.StampsUnsureText) {
						t.Errorf("as if it were sure:\n%s", ruletest.Text(*f))
					}
				}
			} else {
				if exhausted.Severity != tcpvet.Info || exhausted.Certainty != tcpvet.Likely || exhausted.Kind != "reuse-unsure" {
					t.Errorf("no likely info of reuse-unsure:\n%s", ruletest.Text(*exhausted))
				}
				if pressed != nil {
					t.Errorf("a warning of what nearly always is well:\n%s", ruletest.Text(*pressed))
				}
			}
			addr, family := s.sockaddr("127.0.0.1:8080")
			if err := unix.Connect(s.open(family), addr); !errors.Is(err, tt.want) {
				t.Errorf("connect: %v, want %v", err, tt.want)
			}
		})
	}
}
