package source

import (
	"bytes"
	"os"
	"testing"
)

// The sockets of a text are those of its parts, cut at any line. The corpus holds
// what Linux 6.18 gave where one packet, one Unix and one netlink socket were open.
func FuzzInTables(f *testing.F) {
	f.Add([]byte("TCP 2304 7 274 no\nNETLINK 1096 -1 -1 NI\nUDP 1344 5"))
	f.Fuzz(func(t *testing.T, b []byte) {
		want := inTables(b)
		for i, c := range b {
			if c == '\n' && inTables(b[:i+1])+inTables(b[i+1:]) != want {
				t.Fatalf("%d in all, %d before byte %d and %d behind", want, inTables(b[:i+1]), i+1, inTables(b[i+1:]))
			}
		}
	})
}

// The third column, as proto_seq_printf in net/core/sock.c prints it.
func TestInTables(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0,
		"protocol  size sockets  memory press maxhdr\n":                                              0,
		"TCP       2304      7     274   no     320\nUNIX-STREAM 1152     12      -1   NI       0\n": 19,
		"PING      1016     -1      -1   NI       0\nshort 3\n":                                      0,
	} {
		if got := inTables([]byte(text)); got != want {
			t.Errorf("%q: %d sockets, want %d", text, got, want)
		}
	}
	b, err := os.ReadFile("testdata/protocols.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := inTables(b); got != 3 || bytes.Count(b, []byte("\n")) < 10 {
		t.Errorf("%d sockets, want one packet, one Unix and one netlink socket", got)
	}
}
