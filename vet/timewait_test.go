package vet_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// TestReuseTimeWait proposes only settings that change something.
func TestReuseTimeWait(t *testing.T) {
	const (
		reuse  = "tcpvet fix sysctl net.ipv4.tcp_tw_reuse=1"
		stamps = "tcpvet fix sysctl net.ipv4.tcp_timestamps=1"
	)
	away := tcpvet.Tuple{Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddrPort("10.0.3.7:80")}
	home := tcpvet.Tuple{Local: netip.MustParseAddr("127.0.0.1"), Remote: netip.MustParseAddrPort("127.0.0.1:80")}
	for _, tt := range []struct {
		name        string
		tuple       tcpvet.Tuple
		mode, stamp string
		want        []string
	}{
		{"off", away, "0", "1", []string{reuse}},
		{"loopback only, away", away, "2", "1", []string{reuse}},
		{"loopback only, at home", home, "2", "1", nil},
		{"off, at home", home, "0", "1", []string{reuse}},
		{"on", away, "1", "1", nil},
		{"on without effect", away, "1", "0", []string{stamps}},
		{"both off", away, "0", "0", []string{stamps, reuse}},
		{"not known", away, "", "1", nil},
	} {
		sysctls := map[string]string{"net.ipv4.tcp_timestamps": tt.stamp}
		if tt.mode != "" {
			sysctls["net.ipv4.tcp_tw_reuse"] = tt.mode
		}
		c := &tcpvet.Census{Netns: map[tcpvet.NetnsID]tcpvet.Netns{0: {Sysctls: sysctls}}}
		var got []string
		for _, r := range vet.ReuseTimeWait(c, tt.tuple, "", 28232) {
			got = append(got, r.Command())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSustainable(t *testing.T) {
	if got := vet.PerSecond(vet.Sustainable(28232)); got != "470/s" {
		t.Errorf("28,232 ports bear %s, want 470/s", got)
	}
}
