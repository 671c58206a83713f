package vet_test

import (
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func TestSelection(t *testing.T) {
	ap := netip.MustParseAddrPort
	only := func(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 0) }
	for _, tt := range []struct {
		selection vet.Selection
		want      string
	}{
		{vet.Selection{}, "ss -Htan | wc -l"},
		{vet.Selection{State: tcpvet.Established}, "ss -Htn state established | wc -l"},
		{vet.Selection{State: tcpvet.CloseWait, Remote: ap("10.0.3.7:8080")}, "ss -Htn state close-wait dst 10.0.3.7:8080 | wc -l"},
		{vet.Selection{State: tcpvet.FinWait2, Local: ap("[::1]:80")}, "ss -Htn state fin-wait-2 'src [::1]:80' | wc -l"},
		{
			vet.Selection{Local: only("10.0.0.5"), Remote: ap("10.0.3.7:8080"), Ports: &tcpvet.Ports{Low: 32768, High: 60999}},
			"ss -Htan src 10.0.0.5 dst 10.0.3.7:8080 sport ge :32768 sport le :60999 | wc -l",
		},
		{vet.Selection{Local: only("fe80::1%eth0"), Remote: ap("[fe80::2%eth0]:80")}, "ss -Htan 'src [fe80::1] dst [fe80::2]:80' | wc -l"},
	} {
		if got := tt.selection.Count(); got != tt.want {
			t.Errorf("%+v\n got %s\nwant %s", tt.selection, got, tt.want)
		}
	}
}

func TestNarrow(t *testing.T) {
	for _, tt := range []struct {
		flag   string
		holder tcpvet.Process
		want   string
	}{
		{"", tcpvet.Process{PID: 4121, Start: 1}, "--pid 4121 --state close-wait dst 10.0.3.7:8080"},
		{"--netns blue", tcpvet.Process{PID: 4121, Start: 1}, "--pid 4121 --netns blue --state close-wait dst 10.0.3.7:8080"},
		{"", tcpvet.Unseen, "--state close-wait dst 10.0.3.7:8080"},
	} {
		if got := vet.Narrow(tt.flag, tt.holder, "--state close-wait", "", "dst 10.0.3.7:8080"); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
