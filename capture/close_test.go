package capture_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

func TestClose(t *testing.T) {
	playScenes(t, []scene{
		{"four-way", fourWay, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
		{"four-way, server first", opened + `
			1.00 < F. 301 101
			1.01 > .  101 302
			1.20 > F. 101 302
			1.20 < .  302 102`, []string{"handshake four-way server none UNCONN TIME-WAIT"}},
		{"three-way", opened + `
			1.00 > F. 101 301
			1.01 < F. 301 102
			1.02 > .  102 302`, []string{"handshake three-way client none TIME-WAIT UNCONN"}},
		{"three-way, with the last data in the FIN", opened + `
			1.00 > F. 101 301
			1.01 < FP. 301 102 len=5
			1.02 > .  102 307`, []string{"handshake three-way client none TIME-WAIT UNCONN half-close-data"}},
		{"the ACK and the FIN in one instant", opened + `
			1.00 > F. 101 301
			1.01 < .  301 102
			1.01 < F. 301 102
			1.02 > .  102 302`, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
		{"simultaneous", opened + `
			1.00 > F. 101 301
			1.00 < F. 301 101
			1.01 > .  102 302
			1.01 < .  302 102`, []string{"handshake simultaneous both none TIME-WAIT TIME-WAIT simultaneous-close"}},
		{"simultaneous, one ACK not captured", opened + `
			1.00 > F. 101 301
			1.00 < F. 301 101
			1.01 > .  102 302`, []string{"handshake simultaneous both none CLOSING CLOSING simultaneous-close"}},
		{"the last ACK is missing", opened + `
			1.00 > F. 101 301
			1.01 < .  301 102
			1.20 < F. 301 102`, []string{"handshake four-way client none FIN-WAIT-2 LAST-ACK"}},
		{"three-way, the last ACK is missing", opened + `
			1.00 > F. 101 301
			1.20 < F. 301 102`, []string{"handshake three-way client none FIN-WAIT-1 LAST-ACK"}},
		{"no FIN is believed to arrive that nobody acknowledged", opened + `
			1.00 > F. 101 301
			1.20 > F. 101 301
			1.60 > F. 101 301`, []string{"handshake half-closed client none FIN-WAIT-1 ESTAB"}},
		{"an ACK of the data before the FIN is none of the FIN", opened + `
			1.00 > FP. 101 301 len=10
			1.01 < .  301 111`, []string{"handshake half-closed client none FIN-WAIT-1 ESTAB"}},
		{"nor is one of more than was sent", opened + `
			1.00 > F. 101 301
			1.01 < .  301 9000`, []string{"handshake half-closed client none FIN-WAIT-1 ESTAB"}},
		{"CLOSE-WAIT", opened + `
			1.00 < F. 301 101
			1.01 > .  101 302`, []string{"handshake half-closed server none CLOSE-WAIT FIN-WAIT-2 close-wait-stuck"}},
		{"half-close, and data flows", opened + `
			1.00 > F. 101 301
			1.01 < .  301 102
			1.10 < P. 301 102 len=10`, []string{"handshake half-closed client none FIN-WAIT-2 CLOSE-WAIT half-close-data"}},
		{"data that crossed the FIN is no half-close", opened + `
			1.00 > F. 101 301
			1.00 < P. 301 101 len=10
			1.01 < F. 311 102
			1.02 > .  102 312`, []string{"handshake three-way client none TIME-WAIT UNCONN"}},
		{"the last ACK was lost, and sent again", fourWay + `
			1.40 < F. 301 102
			1.40 > .  102 302`, []string{"handshake four-way client none TIME-WAIT UNCONN lost-last-ack"}},
		{"the last ACK was lost", fourWay + `
			1.40 < F. 301 102`, []string{"handshake four-way client none TIME-WAIT LAST-ACK lost-last-ack"}},
		{"a FIN that was sent again before its ACK came", opened + `
			1.00 > F. 101 301
			1.20 > F. 101 301
			1.21 < F. 301 102
			1.21 > .  102 302`, []string{"handshake three-way client none TIME-WAIT UNCONN"}},
		{"a FIN with another number is not that FIN again", fourWay + `
			1.40 < F. 300 102`, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
		{"a FIN again, after an RST", opened + `
			1.00 > F. 101 301
			1.01 < .  301 102
			1.10 < R. 301 102
			1.20 > F. 101 301`, []string{"handshake reset client server UNCONN UNCONN killed-in-close-wait~|linger-zero-reset"}},
		{"data after the close of both", fourWay + `
			1.30 < P. 302 102 len=10
			1.31 > R  102 - win=0`, []string{"handshake four-way client none UNCONN UNCONN data-after-close"}},
		{"RFC 1337: an RST ends a TIME-WAIT", fourWay + `
			1.31 < R  302 - win=0`, []string{"handshake four-way client none UNCONN UNCONN"}},
		{"an RST from elsewhere does not", fourWay + `
			1.31 < R  900000000 - win=0`, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
		{"a FIN in the handshake's ACK", `
			0.00 > S  100 -
			0.01 < S. 300 101
			0.01 > F. 101 301
			0.02 < .  301 102`, []string{"handshake half-closed client none FIN-WAIT-2 CLOSE-WAIT close-wait-stuck"}},
		{"sequence numbers that wrap", `
			0.00 > S  4294967295 -
			0.01 < S. 4294967290 0
			0.01 > .  0 4294967291
			0.10 < P. 4294967291 0 len=10
			0.11 > .  0 5
			0.20 > F. 0 5
			0.21 < F. 5 1
			0.22 > .  1 6`, []string{"handshake three-way client none TIME-WAIT UNCONN"}},
		{"the second FIN was not captured", opened + `
			1.00 > F. 101 301
			1.01 < .  301 102
			1.20 > .  102 302`, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
		{"nor was the first", opened + `
			1.01 < .  301 102
			1.20 < F. 301 102
			1.20 > .  102 302`, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
		{"the second FIN comes late", opened + `
			1.00 > F. 101 301
			1.01 < .  301 102
			1.20 > .  102 302
			1.20 < F. 301 102`, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
		{"one byte was not captured", opened + `
			1.01 < .  301 102
			1.10 > P. 102 301 len=10
			1.11 < .  301 112
			1.20 < F. 301 112
			1.20 > .  112 302`, []string{"handshake half-closed server none CLOSE-WAIT FIN-WAIT-2 close-wait-stuck"}},
		{"two were not captured: no FIN takes two", opened + `
			1.00 > F. 101 301
			1.01 < .  301 102
			1.20 > .  102 303`, []string{"handshake half-closed client none FIN-WAIT-2 CLOSE-WAIT close-wait-stuck"}},
		{"a socket connected to itself", `
			0 > S 100 - from=7001 to=10.0.0.1:7001
			0 > S. 100 101 from=7001 to=10.0.0.1:7001
			0 > . 101 101 from=7001 to=10.0.0.1:7001
			1 > F. 101 101 from=7001 to=10.0.0.1:7001
			1 > . 102 102 from=7001 to=10.0.0.1:7001`, []string{"simultaneous simultaneous both none TIME-WAIT TIME-WAIT"}},
		{"a clock that is set back", `
			9.00 > S  100 -
			9.01 < S. 300 101
			9.01 > .  101 301
			1.00 > F. 101 301
			0.50 < .  301 102
			0.40 < F. 301 102
			0.30 > .  102 302`, []string{"handshake four-way client none TIME-WAIT UNCONN"}},
	})
}

func TestCloseNumbers(t *testing.T) {
	told, _, _ := play(t, capture.TrackerOptions{}, fourWay)
	c := told[0].Close
	if c.PassiveWait == nil || *c.PassiveWait != 190*time.Millisecond || *c.FinWait2 != 190*time.Millisecond || c.TimeWait != tcpvet.ClientEnd {
		t.Errorf("%+v", c)
	}
	told, _, _ = play(t, capture.TrackerOptions{}, opened+`
		1.00 < F. 301 101
		1.04 > .  101 302
		3.54 > .  101 302 from=41000`)
	if c := told[0].Close; c.PassiveWait != nil || c.FinWait2 != nil || c.TimeWait != tcpvet.NoEnd {
		t.Errorf("half-closed: %+v", c)
	}
	if n := told[0].Notes[0]; n.Took != 2500*time.Millisecond || n.By != tcpvet.ClientEnd || !strings.Contains(n.Text, "2.5 s") {
		t.Errorf("%+v", n)
	}
}

func TestHTTPIdleClose(t *testing.T) {
	const response = opened + `
		0.10 > P. 101 301 data=GET
		0.20 < P. 301 104 data=HTTP/1.1
		0.21 > .  104 309
	`
	const stuck = "handshake half-closed server none CLOSE-WAIT FIN-WAIT-2"
	playScenes(t, []scene{
		{"after 5 s", response + `
			5.20 < F. 309 104
			5.21 > .  104 310`, []string{stuck + " http-idle-close~ close-wait-stuck"}},
		{"as it had announced", opened + `
			0.10 > P. 101 301 data=GET
			0.20 < P. 301 104 data=HTTP/1.1\x20200\x20OK\r\nconnection:\x20Close\r\n\r\n
			3.20 < F. 339 104
			3.21 > .  104 340`, []string{stuck + " close-wait-stuck"}},
		{"what the body says announces nothing", opened + `
			0.10 > P. 101 301 data=GET
			0.20 < P. 301 104 data=HTTP/1.1\x20200\x20OK\r\n\r\nConnection:\x20close
			3.20 < F. 337 104
			3.21 > .  104 338`, []string{stuck + " http-idle-close~ close-wait-stuck"}},
		{"at once", response + `
			0.90 < F. 309 104
			0.91 > .  104 310`, []string{stuck + " close-wait-stuck"}},
		{"the client first", response + `
			5.20 > F. 104 309
			5.21 < F. 309 105
			5.22 > .  105 310`, []string{"handshake three-way client none TIME-WAIT UNCONN"}},
		{"a request unanswered", response + `
			0.30 > P. 104 309 data=GET
			5.20 < F. 309 107
			5.21 > .  107 310`, []string{stuck + " close-wait-stuck"}},
		{"the client first, with its own data last", response + `
			0.30 > P. 104 309 data=GET
			5.20 > F. 107 309
			5.21 < F. 309 108
			5.22 > .  108 310`, []string{"handshake three-way client none TIME-WAIT UNCONN"}},
		{"both at once", response + `
			5.20 < F. 309 104
			5.20 > F. 104 309`, []string{"handshake simultaneous both none FIN-WAIT-1 FIN-WAIT-1 simultaneous-close"}},
		{"payload not captured, an unknown port", opened + `
			0.20 < P. 301 101 len=10
			9.30 < F. 311 101
			9.31 > .  101 312`, []string{stuck + " close-wait-stuck"}},
		{"not HTTP, on its port", `
			0.20 < P. 301 101 data=SSH-2.0 to=80
			9.30 < F. 308 101 to=80
			9.31 > .  101 309 to=80`, []string{"midstream half-closed server none CLOSE-WAIT FIN-WAIT-2 close-wait-stuck"}},
		{"no payload captured, its port", `
			0.20 < P. 301 101 len=10 to=80
			9.30 < F. 311 101 to=80
			9.31 > .  101 312 to=80`, []string{"midstream half-closed server none CLOSE-WAIT FIN-WAIT-2 http-idle-close~ close-wait-stuck"}},
	})
	told, _, _ := play(t, capture.TrackerOptions{}, response+"5.20 < F. 309 104")
	if n := told[0].Notes[0]; n.Took != 5*time.Second || n.By != tcpvet.ServerEnd || !strings.Contains(n.Text, "5 s") {
		t.Errorf("%+v", n)
	}
}

// The states that each segment leads to, as RFC 9293 figures 12 and 13 have
// them, and what each is called.
func TestSteps(t *testing.T) {
	_, steps, _ := play(t, capture.TrackerOptions{}, opened+`
		0.50 > P. 101 301 len=10
		0.51 < .  301 111
		1.00 > F. 111 301
		1.01 < .  301 112
		1.20 < F. 301 112
		1.20 > .  112 302
		1.40 < F. 301 112
		1.40 > .  112 302`)
	want := []string{
		"client syn SYN-SENT STATE-0",
		"server syn-ack SYN-SENT SYN-RECV",
		"client ack ESTAB ESTAB",
		"client data ESTAB ESTAB",
		"server ack ESTAB ESTAB",
		"client fin FIN-WAIT-1 ESTAB",
		"server ack FIN-WAIT-2 CLOSE-WAIT",
		"server fin FIN-WAIT-2 LAST-ACK",
		"client ack TIME-WAIT UNCONN",
		"server fin, retransmission, after close TIME-WAIT LAST-ACK",
		"client ack, after close TIME-WAIT UNCONN",
	}
	_, three, _ := play(t, capture.TrackerOptions{}, opened+`
		1.00 > F. 101 301
		1.20 < F. 301 102
		1.20 > .  102 302`)
	// The FIN that acknowledges a FIN leads from FIN-WAIT-1 straight to
	// TIME-WAIT (RFC 9293 section 3.10.7.4).
	for i, want := range []string{"FIN-WAIT-1 ESTAB", "FIN-WAIT-1 LAST-ACK", "TIME-WAIT UNCONN"} {
		if s := three[3+i]; s.ClientAfter.String()+" "+s.ServerAfter.String() != want {
			t.Errorf("three-way, segment %d: %v %v, want %s", 4+i, s.ClientAfter, s.ServerAfter, want)
		}
	}
	for i, s := range steps {
		got := string(s.From) + " " + s.What.String() + " " + s.ClientAfter.String() + " " + s.ServerAfter.String()
		if got != want[i] {
			t.Errorf("segment %d: %s, want %s", i+1, got, want[i])
		}
		if i > 0 && (s.ClientBefore != steps[i-1].ClientAfter || s.ServerBefore != steps[i-1].ServerAfter) {
			t.Errorf("segment %d begins at %v %v", i+1, s.ClientBefore, s.ServerBefore)
		}
		if base := [2]uint32{s.SeqBase, s.AckBase}; i > 0 && s.From == tcpvet.ClientEnd && base != [2]uint32{100, 300} || i > 0 && s.From == tcpvet.ServerEnd && base != [2]uint32{300, 100} {
			t.Errorf("segment %d: bases %v", i+1, base)
		}
	}
}
