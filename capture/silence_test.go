package capture_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

func TestSilence(t *testing.T) {
	const open, reset = "handshake none none none ESTAB ESTAB", "handshake reset client client UNCONN UNCONN "
	playScenes(t, []scene{
		{"probes answered", opened + `
			5.00 > . 100 301
			5.01 < . 301 101
			9.00 > . 100 301 len=1
			9.01 < . 301 101`, []string{open}},
		{"keepalive timeout", opened + `
			5.0 > .  100 301
			6.0 > .  100 301
			7.0 > R. 101 301`, []string{reset + "keepalive-timeout"}},
		{"user timeout, by a probe", opened + `
			5.0 > .  100 301
			6.0 > R. 101 301`, []string{reset + "user-timeout~|keepalive-timeout"}},
		{"user timeout, by data", opened + `
			0.3 > P. 101 301 len=10
			0.6 > P. 101 301 len=10
			2.0 > R. 111 301`, []string{reset + "user-timeout~|linger-zero-reset"}},
		{"user timeout, by data after silence", opened + `
			5.0 > P. 101 301 len=10
			5.3 > P. 101 301 len=10
			5.6 > P. 101 301 len=10
			6.2 > P. 101 301 len=10
			7.0 > R. 111 301`, []string{reset + "user-timeout~|middlebox-drop"}},
		{"data was resent, but acknowledged in the end", opened + `
			5.0 > P. 101 301 len=10
			5.3 > P. 101 301 len=10
			5.4 < .  301 111
			7.0 > R. 111 301`, []string{reset + "linger-zero-reset~|abort-unread-data"}},
		{"keepalive reset", opened + `
			5.0 > .  100 301
			5.1 < R  301 - win=0`, []string{"handshake reset server server UNCONN UNCONN keepalive-reset"}},
		{"keepalive reset, by another TTL", opened + `
			5.0 > .  100 301
			5.1 < R  301 - win=0 ttl=255`, []string{"handshake reset server server UNCONN UNCONN middlebox-reset~|keepalive-reset"}},
		{"an RST after a probe was answered", opened + `
			5.0 > .  100 301
			5.1 < .  301 101
			5.2 < R. 301 101`, []string{"handshake reset server server UNCONN UNCONN linger-zero-reset~|abort-unread-data"}},
		{"probes unanswered", opened + `
			5.0 > .  100 301
			6.0 > .  100 301`, []string{open + " keepalive-unanswered"}},
		{"a probe at the end of the capture", opened + `
			5.0 > .  100 301`, []string{open}},
		{"a probe that nobody answered in time", opened + `
			5.0 > .  100 301
			6.5 > .  1 1 from=41000`, []string{open + " keepalive-unanswered", "midstream none none none ESTAB ESTAB"}},
		{"from the middle: probes that an RST explains", `
			0.0 > .  100 301
			1.0 > .  100 301
			2.0 > R. 101 301`, []string{"midstream reset client client UNCONN UNCONN keepalive-timeout"}},
		{"from the middle: probes that nothing explains", `
			0.0 > .  100 301
			1.0 > .  100 301
			2.0 > .  100 301`, []string{"midstream none none none ESTAB ESTAB keepalive-unanswered~"}},
		{"from the middle: ACKs in one burst", `
			0.0 > .  100 301
			0.1 > .  100 401`, []string{"midstream none none none ESTAB ESTAB"}},
		{"from the middle: an ACK, and data", `
			0.0 > .  100 301
			1.0 > P. 100 301 len=10
			1.1 < .  301 110`, []string{"midstream none none none ESTAB ESTAB"}},
		{"middlebox", opened + `
			5.0 > P. 101 301 len=10
			5.3 > P. 101 301 len=10
			5.6 > P. 101 301 len=10
			6.2 > P. 101 301 len=10`, []string{open + " middlebox-drop~|user-timeout"}},
		{"data that nobody acknowledged, without silence before", opened + `
			0.4 > P. 101 301 len=10
			0.7 > P. 101 301 len=10
			1.0 > P. 101 301 len=10
			1.6 > P. 101 301 len=10`, []string{open}},
		{"data that was acknowledged late", opened + `
			5.0 > P. 101 301 len=10
			5.3 > P. 101 301 len=10
			5.6 > P. 101 301 len=10
			6.2 > P. 101 301 len=10
			6.3 < .  301 111`, []string{open}},
		{"data that was resent twice", opened + `
			5.0 > P. 101 301 len=10
			5.3 > P. 101 301 len=10
			5.6 > P. 101 301 len=10`, []string{open}},
	})
}

func TestProbeCounts(t *testing.T) {
	told, _, _ := play(t, capture.TrackerOptions{}, `
		0.0 > .  100 301
		1.0 > .  100 301
		1.5 > P. 101 301 len=10`)
	if f := told[0].FromClient; f.Probes != 2 || f.Bytes != 10 {
		t.Errorf("data explains the probes: %+v", f)
	}
	told, steps, _ := play(t, capture.TrackerOptions{}, `
		0.00 > .  100 301
		0.01 < .  301 101
		2.00 > .  100 301
		2.01 < .  301 101
		4.00 > .  100 301 len=1
		4.01 < .  301 101
		5.00 > P. 101 301 len=1
		5.20 > P. 101 301 len=1
		5.21 < .  301 102`)
	c := told[0]
	if c.FromClient != (tcpvet.Flow{Packets: 5, Bytes: 1, Retransmits: 1, Probes: 3}) {
		t.Errorf("%+v", c.FromClient)
	}
	for i, want := range map[int]capture.What{2: capture.KeepaliveProbe, 4: capture.KeepaliveProbe, 6: capture.IsData, 7: capture.IsData | capture.Retransmission} {
		if steps[i].What != want {
			t.Errorf("segment %d is %v, want %v", i+1, steps[i].What, want)
		}
	}
	told, _, _ = play(t, capture.TrackerOptions{}, opened+`
		5.0 > .  100 301
		6.0 > .  100 301
		7.0 > .  100 301
		8.5 > R. 101 301`)
	if n := told[0].Notes[0]; n.Count != 3 || n.Took != 3500*time.Millisecond || n.By != tcpvet.ServerEnd {
		t.Errorf("%+v", n)
	}
}
