package capture_test

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

func TestOpen(t *testing.T) {
	playScenes(t, []scene{
		{"handshake", opened, []string{"handshake none none none ESTAB ESTAB"}},
		{"SYN at the end of the capture", "0 > S 100 -", []string{"unanswered none none none SYN-SENT STATE-0"}},
		{"SYN-ACK at the end", `
			0.0 > S  100 -
			0.1 < S. 300 101`, []string{"handshake none none none SYN-SENT SYN-RECV"}},
		{"unanswered for a second", `
			0.0 > S 100 -
			1.0 > S 100 -`, []string{"unanswered none none none SYN-SENT STATE-0 syn-unanswered"}},
		{"unanswered, and another connection shows how long", `
			0.0 > S 100 -
			5.0 > S 100 - from=41000`, []string{"unanswered none none none SYN-SENT STATE-0 syn-unanswered", "unanswered none none none SYN-SENT STATE-0"}},
		{"refused", `
			0.0 > S  100 -
			0.1 < R. 0 101 win=0`, []string{"refused none none server UNCONN UNCONN refused"}},
		{"refused at the second SYN", `
			0.0 > S  100 -
			1.0 > S  100 -
			1.1 < R. 0 101 win=0`, []string{"refused none none server UNCONN UNCONN refused"}},
		{"RFC 9293 3.10.7.3: an RST for another SYN is no refusal", `
			0.0 > S  100 -
			0.1 < R. 0 99 win=0
			0.2 < S. 300 101
			0.2 > .  101 301`, []string{"handshake none none none ESTAB ESTAB"}},
		{"RFC 9293 3.10.7.3: an RST without ACK is none", `
			0.0 > S  100 -
			0.1 < R  0 - win=0
			0.2 < S. 300 101
			0.2 > .  101 301`, []string{"handshake none none none ESTAB ESTAB"}},
		{"RFC 9293 figure 7: simultaneous open", `
			0.00 > S  100 -
			0.01 < S  300 -
			0.02 > S. 100 301
			0.03 < S. 300 101`, []string{"simultaneous none none none ESTAB ESTAB"}},
		{"scan: RST for the SYN-ACK", `
			0.0 > S  100 -
			0.1 < S. 300 101
			0.1 > R  101 - win=0`, []string{"handshake reset client client UNCONN UNCONN"}},
		{"SYN-ACK was captured first", `
			0.1 < S. 300 101
			0.1 > .  101 301`, []string{"handshake none none none ESTAB ESTAB"}},
		{"SYN was overtaken by its SYN-ACK", `
			0.1 < S. 300 101
			0.1 > S  100 -
			0.1 > .  101 301`, []string{"handshake none none none ESTAB ESTAB"}},
		{"SYN-ACK was overtaken by its ACK", `
			0.00 > S  100 -
			0.01 > .  101 301
			0.01 < S. 300 101`, []string{"handshake none none none ESTAB ESTAB"}},
		{"RFC 9293 3.10.7.4: a challenge ACK to a SYN, from an older connection", `
			0.00 > S  100 -
			0.01 < .  700 50
			0.01 > R  50 -`, []string{"unanswered none none none SYN-SENT STATE-0"}},
		{"only what the client sends", `
			0.0 > S 100 -
			0.1 > . 101 301
			0.1 > P. 101 301 len=10`, []string{"handshake none none none ESTAB ESTAB"}},
		{"the SYN-ACK was not captured", `
			0.0 > S 100 -
			0.1 > . 101 301
			0.1 > P. 101 301 len=10
			0.2 < . 301 111`, []string{"handshake none none none ESTAB ESTAB"}},
		{"from the middle: data", "0 > P. 500 700 len=10", []string{"midstream none none none ESTAB ESTAB"}},
		{"from the middle: FIN", "0 > F. 500 700", []string{"midstream half-closed client none FIN-WAIT-1 ESTAB"}},
		{"an RST alone says nothing of its reason", "0 > R. 500 700", []string{"midstream reset client client UNCONN UNCONN"}},
		{"the ephemeral port is the client's", "0 < P. 500 700 len=10 from=33000 to=61000", []string{"midstream none none none ESTAB ESTAB"}},
		{"a self-connect", `
			0 > S 100 - from=7001 to=10.0.0.1:7001
			0 > S. 100 101 from=7001 to=10.0.0.1:7001
			0 > . 101 101 from=7001 to=10.0.0.1:7001`, []string{"simultaneous none none none ESTAB ESTAB"}},
		{"data in a SYN, RFC 7413", `
			0.00 > S  100 - len=10
			0.01 < S. 300 111
			0.01 > .  111 301`, []string{"handshake none none none ESTAB ESTAB"}},
	})
}

func TestOpenNumbers(t *testing.T) {
	told, _, _ := play(t, capture.TrackerOptions{}, `
		0.0 > S  100 -
		1.0 > S  100 -
		3.0 > S  100 -
		3.1 < S. 300 101
		4.1 < S. 300 101
		4.3 > .  101 301
		4.4 > P. 101 301 len=7`)
	c := told[0]
	if *c.Open.Connect != 4300*time.Millisecond || *c.Open.RTT != 100*time.Millisecond || c.Open.SYNRetransmits != 2 || !*c.Open.AcksOK {
		t.Errorf("%v %v %d %v", c.Open.Connect, c.Open.RTT, c.Open.SYNRetransmits, *c.Open.AcksOK)
	}
	if c.FromClient != (tcpvet.Flow{Packets: 5, Bytes: 7, Retransmits: 2, SYNs: 3}) || c.FromServer != (tcpvet.Flow{Packets: 2, Retransmits: 1, SYNs: 2}) {
		t.Errorf("%+v %+v", c.FromClient, c.FromServer)
	}
}

// A SYN-ACK after a SYN tells more: it is no retransmission.
func TestSimultaneousOpenNumbers(t *testing.T) {
	told, _, _ := play(t, capture.TrackerOptions{}, `
		0.00 > S  100 -
		0.01 < S  300 -
		0.02 > S. 100 301
		0.03 < S. 300 101`)
	if c := told[0]; c.FromClient != (tcpvet.Flow{Packets: 2, SYNs: 2}) || c.FromServer != c.FromClient || *c.Open.Connect != 30*time.Millisecond || c.Open.RTT != nil || c.Open.SYNRetransmits != 0 {
		t.Errorf("%+v", c)
	}
}

// What a socket sends to itself it also acknowledges: here it expects 101 of
// itself, and 100 is one before that, a keepalive probe.
func TestSelfConnect(t *testing.T) {
	told, _, _ := play(t, capture.TrackerOptions{}, `
		0.0 > .  100 101 from=7001 to=10.0.0.1:7001
		0.1 > P. 101 101 len=5 from=7001 to=10.0.0.1:7001`)
	if c := told[0]; len(told) != 1 || c.FromClient != (tcpvet.Flow{Packets: 2, Bytes: 5, Probes: 1}) || c.FromServer != (tcpvet.Flow{}) || c.ServerState != c.ClientState {
		t.Errorf("%+v", c)
	}
}

// RFC 9293 section 3.10.7.3: a SYN-ACK that does not acknowledge the SYN.
func TestWrongACK(t *testing.T) {
	told, steps, _ := play(t, capture.TrackerOptions{}, `
		0.0 > S  100 -
		0.1 < S. 300 95
		0.1 > R  95 - win=0`)
	if len(told) != 1 || told[0].Open.AcksOK == nil || *told[0].Open.AcksOK {
		t.Errorf("%+v", told[0].Open)
	}
	if told[0].ClientState != tcpvet.SynSent || !steps[2].What.Has(capture.Ignored) {
		t.Errorf("%v %v", told[0].ClientState, steps[2])
	}
}

func TestWhoIsClient(t *testing.T) {
	for _, test := range []struct {
		script string
		client uint16
	}{
		{"0 > S 1 - from=80 to=40000", 80},        // who sends the SYN
		{"0 > S. 1 1 from=40000 to=50000", 50000}, // who does not send the SYN-ACK
		{"0 > . 1 1 from=40000 to=61000", 40000},  // the ephemeral port
		{"0 > . 1 1 from=61000 to=40000", 40000},  //
		{"0 > . 1 1 from=32768 to=32767", 32768},  // its bounds
		{"0 > . 1 1 from=32768 to=61000", 32768},
		{"0 > . 1 1 from=32767 to=61000", 61000},
		{"0 > . 1 1 from=60999 to=61000", 60999}, //
		{"0 > . 1 1 from=40000 to=50000", 50000}, // else the higher
		{"0 > . 1 1 from=945 to=2049", 2049},     //
		{"0 > . 1 1 from=5000 to=5000", 5000},    //
		{"0 > R. 1 1 from=80 to=40000", 40000},   //
		{"0 > S. 1 1 from=9090 to=9090\n0 < . 1 2 from=9090 to=9090", 9090},
	} {
		told, _, _ := play(t, capture.TrackerOptions{}, test.script)
		if len(told) != 1 || told[0].Client.Port() != test.client {
			t.Errorf("%s: client port %d of %d conversations, want %d", test.script, told[0].Client.Port(), len(told), test.client)
		}
	}
}

const fourWay = opened + `
	1.00 > F. 101 301
	1.01 < .  301 102
	1.20 < F. 301 102
	1.20 > .  102 302
`

func TestReuse(t *testing.T) {
	clean := "handshake four-way client none TIME-WAIT UNCONN"
	playScenes(t, []scene{
		{"of a TIME-WAIT", fourWay + `
			2.0 > S  9000 -
			2.1 < S. 8000 9001
			2.1 > .  9001 8001`, []string{clean, "handshake none none none ESTAB ESTAB port-reused"}},
		{"after the TIME-WAIT", fourWay + `
			61.3 > S  9000 -`, []string{clean, "unanswered none none none SYN-SENT STATE-0"}},
		{"of a connection that was reset", opened + `
			1.0 > R. 101 301
			2.0 > S  9000 -`, []string{"handshake reset client client UNCONN UNCONN linger-zero-reset~|abort-unread-data", "unanswered none none none SYN-SENT STATE-0"}},
		{"of one that was refused", `
			0.0 > S  100 -
			0.1 < R. 0 101
			0.2 > S  200 -
			0.3 < S. 300 201
			0.3 > .  201 301`, []string{"refused none none server UNCONN UNCONN refused", "handshake none none none ESTAB ESTAB"}},
		{"of one that was not answered", `
			0.0 > S  100 -
			1.0 > S  100 -
			3.0 > S  200 -
			3.1 < S. 300 201
			3.1 > .  201 301`, []string{"unanswered none none none SYN-SENT STATE-0 syn-unanswered", "handshake none none none ESTAB ESTAB"}},
		// The old end answers by a challenge ACK, the new one by RST, and
		// the SYN is sent again.
		{"RFC 9293 3.10.7.4: a live one", opened + `
			9.00 > S  9000 -
			9.01 < .  301 101
			9.01 > R  101 - win=0
			10.0 > S  9000 -
			10.1 < S. 8000 9001
			10.1 > .  9001 8001`, []string{"handshake reset client client UNCONN UNCONN linger-zero-reset~|abort-unread-data", "handshake none none none ESTAB ESTAB"}},
		// A blind SYN draws a challenge ACK, and the connection goes on.
		{"RFC 5961 4: a forged SYN", opened + `
			9.00 > S  9000 -
			9.01 < .  301 101
			9.10 > P. 101 301 len=10
			9.11 < .  301 111`, []string{"handshake none none none ESTAB ESTAB", "unanswered none none none SYN-SENT STATE-0"}},
		{"one whose end was not captured", opened + `
			9.00 > S  9000 -
			9.01 < S. 8000 9001
			9.01 > .  9001 8001
			9.02 > P. 9001 8001 len=10`, []string{"handshake none none none ESTAB ESTAB", "handshake none none none ESTAB ESTAB"}},
		{"one whose end was not captured, refused", opened + `
			9.00 > S  9000 -
			9.01 < R. 0 9001`, []string{"handshake none none none ESTAB ESTAB", "refused none none server UNCONN UNCONN refused"}},
		{"two new SYNs", opened + `
			9.00 > S  9000 -
			9.01 < .  301 101
			10.0 > S  9500 -
			10.1 < .  301 101
			10.2 > P. 101 301 len=10`, []string{"unanswered none none none SYN-SENT STATE-0 syn-unanswered", "handshake none none none ESTAB ESTAB", "unanswered none none none SYN-SENT STATE-0"}},
	})
}

// A longer memory than that of the kernel does not make it a reuse.
func TestReuseAfterTimeWait(t *testing.T) {
	for at, want := range map[string]int{"61.2": 1, "61.3": 0} {
		told, _, _ := play(t, capture.TrackerOptions{Linger: 5 * time.Minute}, fourWay+at+" > S 9000 -")
		if len(told) != 2 || len(told[1].Notes) != want {
			t.Errorf("at %s s: %d conversations, notes %v, want %d", at, len(told), told[1].Notes, want)
		}
	}
}

// To a live conversation belong the segments of its numbers, to the one that
// is opened beside it the others.
func TestReuseNumbers(t *testing.T) {
	_, steps, _ := play(t, capture.TrackerOptions{}, opened+`
		9.00 > S  9000 -
		9.01 < .  301 101
		9.01 > R  101 - win=0
		10.0 > S  9000 -
		10.1 < S. 8000 9001
		10.1 > .  9001 8001`)
	for i, want := range []int{1, 1, 1, 2, 1, 1, 2, 2, 2} {
		if steps[i].Number != want {
			t.Errorf("segment %d belongs to %d, want %d", i+1, steps[i].Number, want)
		}
	}
	if steps[5].ClientAfter != tcpvet.Unconn || steps[6].What != capture.IsSYN|capture.Retransmission {
		t.Errorf("%+v %+v", steps[5], steps[6])
	}
}
