package owner

import (
	"encoding/binary"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// encode writes what the kernel would: pairs of the namespaces and PIDs.
func encode(born uint64, comm string, ids ...uint32) []byte {
	b := binary.NativeEndian.AppendUint64(nil, 1)
	b = binary.NativeEndian.AppendUint64(b, 0x5001)
	b = binary.NativeEndian.AppendUint64(b, born)
	for _, id := range ids {
		b = binary.NativeEndian.AppendUint32(b, id)
	}
	b = append(b, make([]byte, recordLen-len(b))...)
	copy(b[recordLen-16:], comm)
	return b
}

func TestDecode(t *testing.T) {
	const first, second, other = 4026531836, 4026532177, 4026532178
	deep := encode(1_234_567_890_123, "curl", first, 4121, second, 7)
	for _, test := range []struct {
		name  string
		b     []byte
		sight sight
		want  tcpvet.Process
		comm  string
		seen  bool
		fails bool
	}{
		{"from the first", deep, sight{pids: first}, tcpvet.Process{PID: 4121, Start: 123456}, "curl", true, false},
		{"from the second", deep, sight{pids: second}, tcpvet.Process{PID: 7, Start: 123456}, "curl", true, false},
		{"from another", deep, sight{pids: other}, tcpvet.Nobody, "curl", false, false},
		{"from none", deep, sight{}, tcpvet.Nobody, "curl", false, false},
		{"clock ahead", deep, sight{pids: first, boot: 100e9}, tcpvet.Process{PID: 4121, Start: 133456}, "curl", true, false},
		{"clock behind", deep, sight{pids: first, boot: -100e9}, tcpvet.Process{PID: 4121, Start: 113456}, "curl", true, false},
		{"long name", encode(0, "0123456789abcdef", first, 1), sight{pids: first}, tcpvet.Process{PID: 1}, "0123456789abcdef", true, false},
		{"short", deep[:recordLen-1], sight{pids: first}, tcpvet.Nobody, "", false, true},
		{"long", append(deep, 0), sight{pids: first}, tcpvet.Nobody, "", false, true},
		{"below zero", encode(0, "x", first, 1<<31), sight{pids: first}, tcpvet.Nobody, "", false, true},
	} {
		cookie, p, comm, seen, err := test.sight.decode(test.b)
		if (err != nil) != test.fails || !test.fails && cookie != 0x5001 || p != test.want && !test.fails || string(comm) != test.comm || seen != test.seen {
			t.Errorf("%s: %v %q %v %v, want %v %q %v", test.name, p, comm, seen, err, test.want, test.comm, test.seen)
		}
	}
}

func TestBootOffset(t *testing.T) {
	for _, test := range []struct {
		text string
		want int64
	}{
		{"monotonic           0         0\nboottime            0         0\n", 0},
		{"monotonic          10         0\nboottime       100000       500\n", 100000*1e9 + 500},
		{"boottime          -86400         0\n", -86400 * 1e9},
		{"monotonic          10         0\n", 0},
		{"boottime x y\n", 0},
		{"", 0},
	} {
		if got := bootOffset([]byte(test.text)); got != test.want {
			t.Errorf("%q: %d, want %d", test.text, got, test.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(1_234_567_890_123, "curl", 4026531836, 4121, 4026532177, 7), uint32(4026532177), int64(0))
	f.Add(encode(0, "0123456789abcdef"), uint32(0), int64(-1))
	f.Add([]byte{}, uint32(1), int64(1))
	f.Fuzz(func(t *testing.T, b []byte, pids uint32, boot int64) {
		_, p, comm, seen, err := sight{pids, boot}.decode(b)
		if seen != p.Known() || err != nil && (seen || p != tcpvet.Nobody) || len(comm) > 16 {
			t.Fatalf("%v %q %v %v", p, comm, seen, err)
		}
	})
}

func FuzzBootOffset(f *testing.F) {
	f.Add([]byte("monotonic          10         0\nboottime       100000       500\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { bootOffset(b) })
}
