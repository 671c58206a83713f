package report

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/capture"
)

// The services of the twenty stuck conversations: what the capture was staged
// to be.
func TestServices(t *testing.T) {
	var s capture.Services
	for _, c := range conversationsOf(t, "close_wait_leak.pcap", "syn_refused.pcap", "teardown_3pkt.pcap", "teardown_4pkt.pcap", "rst_unread_data.pcap", "connect_timeout_blackhole.pcap") {
		s.Add(c)
	}
	rows := s.Rows()
	var b bytes.Buffer
	if err := Services(&b, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{
		"Service Conversations Four-way Three-way Half-closed Reset Refused Unanswered Stuck in close-wait Retransmits Bytes Median RTT",
		"10.9.0.2:80 20 0 0 20 0 0 0 20 0 1340 ",
		"10.8.0.2:9090 3 1 1 0 1 0 0 0 0 10 60.79 ms",
		"10.8.0.2:9999 1 0 0 0 0 1 0 0 0 0 -",
		"10.9.0.2:7003 1 0 0 0 0 0 1 0 10 0 -",
	} {
		got := strings.Join(strings.Fields(lines[i]), " ")
		if i == 2 { // the median is told within 10 %
			got, want = got[:strings.LastIndex(got, " 10 ")], want[:strings.LastIndex(want, " 10 ")]
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("printed %q, want %q", got, want)
		}
	}
	for _, line := range lines[:5] {
		if len(line) != len(lines[0]) {
			t.Errorf("%q is of another width than %q", line, lines[0])
		}
	}
	if rtt := *rows[1].RTT; rtt < 55*time.Millisecond || rtt > 67*time.Millisecond { // of 60.79, 60.72 and 61.58 ms
		t.Errorf("the median RTT is %v", rtt)
	}
}

func TestServicesOther(t *testing.T) {
	var b bytes.Buffer
	rows := []capture.ServiceRow{{Server: netip.MustParseAddrPort("[::1]:80"), Conversations: 7, Open: 7}, {Conversations: 12, Open: 12}}
	if err := Services(&b, rows); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(strings.Fields(b.String()), " "), "Service Conversations Open [::1]:80 7 7 other 12 12"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
