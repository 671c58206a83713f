package capture_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

func TestReset(t *testing.T) {
	const by = "handshake reset client client UNCONN UNCONN "
	playScenes(t, []scene{
		{"SO_LINGER 0", opened + `
			0.50 > P. 101 301 len=10
			0.60 < .  301 111
			1.00 > R. 111 301`, []string{by + "linger-zero-reset~|abort-unread-data"}},
		{"unread data", opened + `
			0.50 < P. 301 101 len=10
			0.60 > .  101 311
			1.00 > R. 101 311`, []string{by + "abort-unread-data~|linger-zero-reset"}},
		{"data was read, and answered", opened + `
			0.50 < P. 301 101 len=10
			0.60 > P. 101 311 len=5
			0.70 < .  311 106
			1.00 > R. 106 311`, []string{by + "linger-zero-reset~|abort-unread-data"}},
		{"killed in CLOSE-WAIT", opened + `
			0.50 < F. 301 101
			0.60 > .  101 302
			1.00 > R. 101 302`, []string{"handshake reset server client UNCONN UNCONN killed-in-close-wait~|linger-zero-reset"}},
		{"killed in CLOSE-WAIT, with data unread", opened + `
			0.50 < FP. 301 101 len=10
			0.60 > .  101 312
			1.00 > R. 101 312`, []string{"handshake reset server client UNCONN UNCONN killed-in-close-wait~|abort-unread-data|linger-zero-reset"}},
		{"data after close", opened + `
			0.50 < F. 301 101
			0.60 > .  101 302
			1.00 > P. 101 302 len=10
			1.01 < R  302 - win=0`, []string{"handshake reset server server UNCONN UNCONN data-after-close"}},
		{"data after close, and an RST with ACK", opened + `
			0.50 < F. 301 101
			0.60 > .  101 302
			1.00 > P. 101 302 len=10
			1.01 < R. 302 111`, []string{"handshake reset server server UNCONN UNCONN data-after-close"}},
		{"data to a host that knows nothing", `
			0.50 > P. 101 301 len=10
			0.51 < R  301 - win=0`, []string{"midstream reset server server UNCONN UNCONN data-after-close~|middlebox-reset"}},
		{"the RST has another TTL", opened + `
			5.00 < R. 301 101 ttl=61`, []string{"handshake reset server server UNCONN UNCONN middlebox-reset~|linger-zero-reset|abort-unread-data"}},
		{"TTLs vary anyway", opened + `
			0.50 < .  301 101 ttl=60
			5.00 < R. 301 101 ttl=61`, []string{"handshake reset server server UNCONN UNCONN linger-zero-reset~|abort-unread-data"}},
		{"both at once after silence", opened + `
			5.000 < R. 301 101
			5.001 > R. 101 301`, []string{"handshake reset server server UNCONN UNCONN middlebox-reset~|linger-zero-reset|abort-unread-data"}},
		{"both at once, in the midst of data", opened + `
			0.500 > P. 101 301 len=10
			0.510 < R. 301 101
			0.511 > R. 111 301`, []string{"handshake reset server server UNCONN UNCONN abort-unread-data~|linger-zero-reset"}},
		{"one long after the other", opened + `
			5.00 < R. 301 101
			5.50 > R. 101 301`, []string{"handshake reset server server UNCONN UNCONN linger-zero-reset~|abort-unread-data"}},
		{"RFC 5961 3.2: out of the window", opened + `
			1.00 < R  900000000 - win=0
			2.00 > P. 101 301 len=10
			2.01 < .  301 111`, []string{"handshake none none none ESTAB ESTAB"}},
		{"RFC 5961 3.2: below the window", opened + `
			0.50 < P. 301 101 len=1000
			0.51 > .  101 1301
			1.00 < R  400 - win=0`, []string{"handshake none none none ESTAB ESTAB"}},
		{"RFC 5961 3.2: in the window, and its sender goes on", opened + `
			1.00 < R  900 - win=0
			1.01 > .  101 301
			2.00 < P. 301 101 len=10`, []string{"handshake none none none ESTAB ESTAB"}},
		// Segments before it were not captured.
		{"in the window, and nothing comes after it", opened + `
			1.00 < R  900 - win=0
			1.01 > .  101 301`, []string{"handshake reset server server UNCONN UNCONN linger-zero-reset~|abort-unread-data"}},
		{"between what was acknowledged and what was sent", opened + `
			0.50 < P. 301 101 len=1000
			1.00 < R. 800 101`, []string{"handshake reset server server UNCONN UNCONN linger-zero-reset~|abort-unread-data"}},
		{"an RST for each segment in flight", opened + `
			0.500 < R. 301 101
			0.501 > P. 101 301 len=10
			0.502 < R  301 - win=0
			0.503 > P. 111 301 len=10
			0.504 < R  301 - win=0`, []string{"handshake reset server server UNCONN UNCONN linger-zero-reset~|abort-unread-data"}},
	})
}

func TestResetCounts(t *testing.T) {
	told, steps, stats := play(t, capture.TrackerOptions{}, opened+`
		1.00 < R  900000000 - win=0
		2.00 < R. 301 101
		2.01 > P. 101 301 len=10
		2.02 < R  301 - win=0`)
	if stats.Ignored != 1 || !steps[3].What.Has(capture.Ignored|capture.IsRST) || steps[4].What != capture.IsRST || !steps[6].What.Has(capture.AfterClose) {
		t.Errorf("%+v %v", stats, steps)
	}
	if told[0].FromServer.RSTs != 3 || told[0].FromServer.Packets != 4 {
		t.Errorf("%+v", told[0].FromServer)
	}
}

// The silence before a middlebox's RSTs is what it allows.
func TestSilenceBeforeReset(t *testing.T) {
	told, _, _ := play(t, capture.TrackerOptions{}, opened+`
		0.50 > P. 101 301 len=10
		0.75 < .  301 111
		5.000 < R. 301 111
		5.001 > R. 111 301`)
	n := told[0].Notes
	if len(n) != 1 || n[0].Kind != tcpvet.MiddleboxReset || n[0].Took != 4250*time.Millisecond {
		t.Errorf("got %+v, want middlebox-reset after 4.25 s", n)
	}
}
