package recording_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// Two excerpts of the same text, one with -S and one without, are each read as
// what they are.
func TestModesOfEachConversation(t *testing.T) {
	text := `13:00:00.000001 IP 1.1.1.1.5 > 6.7.8.9.10: Flags [S], seq 3000000000, win 2, length 0
13:00:00.000002 IP 6.7.8.9.10 > 1.1.1.1.5: Flags [S.], seq 2000000000, ack 3000000001, win 2, length 0
13:00:00.000003 IP 1.1.1.1.5 > 6.7.8.9.10: Flags [P.], seq 3000000001:3000000003, ack 2000000001, win 2, length 2
13:00:00.000001 IP 1.1.1.1.6 > 6.7.8.9.10: Flags [S], seq 3000000000, win 2, length 0
13:00:00.000002 IP 6.7.8.9.10 > 1.1.1.1.6: Flags [S.], seq 2000000000, ack 3000000001, win 2, length 0
13:00:00.000003 IP 1.1.1.1.6 > 6.7.8.9.10: Flags [P.], seq 1:3, ack 1, win 2, length 2
13:00:00.000004 IP 6.7.8.9.10 > 1.1.1.1.6: Flags [.], ack 3, win 2, options [nop,nop,sack 1 {5:9}], length 0
13:00:00.000005 IP 1.1.1.1.7 > 6.7.8.9.10: Flags [F.], seq 7, ack 1, win 2, length 0
13:00:00.000006 IP 6.7.8.9.10 > 1.1.1.1.7: Flags [F.], seq 1, ack 8, win 2, length 0
13:00:00.000007 IP 1.1.1.1.7 > 6.7.8.9.10: Flags [.], ack 2, win 2, length 0
`
	got, _ := read(t, []byte(text), recording.Options{})
	want := []struct{ seq, ack uint32 }{
		{3000000000, 0}, {2000000000, 3000000001}, {3000000001, 2000000001},
		{3000000000, 0}, {2000000000, 3000000001}, {3000000001, 2000000001}, {2000000001, 3000000003},
		// An excerpt that begins with relative numbers keeps them.
		{7, 1}, {1, 8}, {8, 2},
	}
	for i, s := range got {
		if s.Seq != want[i].seq || s.Ack != want[i].ack {
			t.Errorf("line %d: seq %d, ack %d, want %+v", i+1, s.Seq, s.Ack, want[i])
		}
	}
	if b := got[6].Options.SACK[0]; b != (capture.Block{Left: 3000000005, Right: 3000000009}) {
		t.Errorf("SACK %+v", b)
	}
}

// Conversations beyond what is followed push out those that were silent for
// longest, and are counted.
func TestForgottenConversations(t *testing.T) {
	const most = 1 << 16
	var b bytes.Buffer
	line := func(n int) {
		fmt.Fprintf(&b, "IP 10.0.%d.%d.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n", n>>8&255, n&255)
	}
	for n := range most {
		line(n)
	}
	line(0) // speaks again, and stays
	for n := range 3 {
		fmt.Fprintf(&b, "IP 11.0.0.%d.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n", n)
	}
	line(0)
	if _, r := read(t, b.Bytes(), recording.Options{}); r.Stats().Forgotten != 3 {
		t.Errorf("%+v", r.Stats())
	}
	for n := 1; n <= 3; n++ { // they were pushed out
		line(n)
	}
	if _, r := read(t, b.Bytes(), recording.Options{}); r.Stats().Forgotten != 6 || r.Clock() != recording.NoClock {
		t.Errorf("%+v", r.Stats())
	}
}

// Conversations that begin in the middle, with ACKs that print no sequence number
// of their own, leave open what their numbers are. Then the rest of the text
// decides, and without it how small they are.
func TestModesWithoutABase(t *testing.T) {
	const (
		printedWithS = `IP 1.1.1.1.1 > 6.7.8.9.10: Flags [S.], seq 3000000000, ack 2000000000, win 2, length 0
IP 1.1.1.1.1 > 6.7.8.9.10: Flags [P.], seq 3000000001:3000000003, ack 2000000000, win 2, length 2
`
		printedWithout = `IP 1.1.1.1.1 > 6.7.8.9.10: Flags [S.], seq 3000000000, ack 2000000000, win 2, length 0
IP 1.1.1.1.1 > 6.7.8.9.10: Flags [P.], seq 1:3, ack 1, win 2, length 2
`
	)
	for _, test := range []struct {
		before           string
		second           uint32 // what the second ACK acknowledges
		third            uint32 // and the third
		seq, ackOfSecond uint32 // of the third, of the second
		ack              uint32 // of the third
	}{
		{"", 3000000000, 2000000100, 3000000000, 3000000000, 2000000100},
		{"", 1, 101, 1, 1, 2000000100},
		{printedWithS, 5000, 2000000100, 5000, 5000, 2000000100},
		{printedWithout, 70000, 101, 70000, 70000, 2000000100},
	} {
		text := fmt.Sprintf(`%sIP 1.1.1.1.5 > 6.7.8.9.10: Flags [.], ack 2000000000, win 2, length 0
IP 6.7.8.9.10 > 1.1.1.1.5: Flags [.], ack %d, win 2, length 0
IP 1.1.1.1.5 > 6.7.8.9.10: Flags [.], ack %d, win 2, length 0
`, test.before, test.second, test.third)
		got, _ := read(t, []byte(text), recording.Options{})
		got = got[len(got)-3:]
		if got[0].Ack != 2000000000 || got[1].Ack != test.ackOfSecond || got[2].Ack != test.ack || got[2].Seq != test.seq || !got[2].NoSeq {
			t.Errorf("%s: acks %d, %d, %d, seq %d; want %+v", text, got[0].Ack, got[1].Ack, got[2].Ack, got[2].Seq, test)
		}
	}
}
