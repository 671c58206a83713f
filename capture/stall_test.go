package capture_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// stalls are n exchanges of write, late ACK, write and answer.
func stalls(n int, ackAfter, writeAfter float64, size int) (text string) {
	at, seq, ack := 1.0, 101, 301
	for range n {
		text += fmt.Sprintf("%f > P. %d %d len=%d\n", at, seq, ack, size)
		seq += size
		text += fmt.Sprintf("%f < . %d %d\n", at+ackAfter, ack, seq)
		text += fmt.Sprintf("%f > P. %d %d len=100\n", at+ackAfter+writeAfter, seq, ack)
		seq += 100
		text += fmt.Sprintf("%f < P. %d %d len=20\n", at+ackAfter+writeAfter+0.01, ack, seq)
		ack += 20
		text += fmt.Sprintf("%f > . %d %d\n", at+ackAfter+writeAfter+0.01, seq, ack)
		at++
	}
	return text
}

func TestNagle(t *testing.T) {
	const open = "handshake none none none ESTAB ESTAB"
	playScenes(t, []scene{
		{"three stalls", opened + stalls(3, 0.050, 0.001, 10), []string{open + " nagle-delayed-ack"}},
		{"two may be chance", opened + stalls(2, 0.050, 0.001, 10), []string{open + " nagle-delayed-ack~"}},
		{"the ACK comes a round trip later", opened + stalls(3, 0.040, 0.001, 10), []string{open}}, // 30 ms above the RTT
		{"the next write has its own time", opened + stalls(3, 0.050, 0.020, 10), []string{open}},
		{"later than any delayed ACK", opened + stalls(3, 0.600, 0.001, 10), []string{open}},
		{"full segments do not wait", opened + stalls(3, 0.050, 0.001, 1460), []string{open}},
		{"TCP_NODELAY", opened + `
			1.000 > P. 101 301 len=10
			1.001 > P. 111 301 len=10
			1.050 < .  301 121
			1.051 > P. 121 301 len=10
			1.052 > P. 131 301 len=10
			1.100 < .  301 141
			1.101 > P. 141 301 len=10`, []string{open}},
		{"the answer comes before the next write", opened + `
			1.000 > P. 101 301 len=10
			1.050 < .  301 111
			1.051 < P. 301 111 len=10
			1.052 > P. 111 311 len=10
			1.102 < .  311 121
			1.103 < P. 311 121 len=10
			1.104 > P. 121 321 len=10`, []string{open}},
		{"the answer comes first", opened + `
			1.000 > P. 101 301 len=10
			1.050 < P. 301 111 len=10
			1.051 > P. 111 311 len=10
			1.100 < P. 311 121 len=10
			1.101 > P. 121 321 len=10`, []string{open}},
	})
	// The other way round: the round trip is that from SYN-ACK to ACK.
	turned := strings.NewReplacer(" > ", " < ", " < ", " > ")
	server := strings.NewReplacer(" 101 ", " 301 ", " 301 ", " 101 ").Replace(turned.Replace(`
		1.000 > P. 101 301 len=10
		1.050 < .  301 111
		1.051 > P. 111 301 len=10
		1.101 < .  301 121
		1.102 > P. 121 301 len=10
		1.152 < .  301 131
		1.153 > P. 131 301 len=10`))
	server = strings.NewReplacer("111", "311", "121", "321", "131", "331").Replace(server)
	told, _, _ := play(t, capture.TrackerOptions{}, opened+server)
	if n := noteOf(t, told[0], tcpvet.NagleDelayedACK); n.Count != 3 || n.By != tcpvet.ServerEnd {
		t.Errorf("%+v", n)
	}
	told, _, _ = play(t, capture.TrackerOptions{}, opened+stalls(5, 0.050, 0.001, 10))
	if n := told[0].Notes[0]; n.Count != 5 || n.Took != 250*time.Millisecond || n.By != tcpvet.ClientEnd {
		t.Errorf("%+v", n)
	}
}

func TestZeroWindow(t *testing.T) {
	text := opened + `
		1.0 > P. 101 301 len=100
		1.1 < .  301 201 win=0
		1.3 > .  200 301
		1.3 < .  301 201 win=0
		1.7 > P. 201 301 len=1
		1.8 < .  301 201 win=0
		1.9 > P. 201 301 len=1
		2.0 < .  301 202 win=9
		3.0 < .  301 202 win=0
		3.5 < .  301 202 win=10
		4.0 > P. 202 301 len=10
		4.1 < .  301 212`
	told, steps, _ := play(t, capture.TrackerOptions{}, text)
	if got, want := summary(told[0]), "handshake none none none ESTAB ESTAB zero-window"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if n := told[0].Notes[0]; n.Count != 2 || n.Took != 1400*time.Millisecond || n.By != tcpvet.ServerEnd {
		t.Errorf("%+v", n)
	}
	if f := told[0].FromClient; f.Probes != 0 || f.Retransmits != 0 || f.Bytes != 111 {
		t.Errorf("%+v", f)
	}
	for i, want := range map[int]capture.What{
		4: capture.IsACK | capture.ZeroWindow, 5: capture.WindowProbe, 7: capture.WindowProbe | capture.IsData,
		9: capture.WindowProbe | capture.IsData, 10: capture.IsACK | capture.WindowUpdate,
	} {
		if steps[i].What != want {
			t.Errorf("segment %d is %v, want %v", i+1, steps[i].What, want)
		}
	}
	// Still closed at the end, and an RST's window is none.
	told, _, _ = play(t, capture.TrackerOptions{}, opened+`
		1.0 < . 301 101 win=0
		3.0 > . 100 301`)
	if n := told[0].Notes[0]; n.Took != 2*time.Second {
		t.Errorf("%+v", n)
	}
}
