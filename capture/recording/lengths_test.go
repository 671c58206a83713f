package recording_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/capture/recording"
)

// Lengths that no file has are refused at the byte where they stand, and nothing
// is set aside for them.
func TestImpossibleLengths(t *testing.T) {
	le := binary.LittleEndian
	link, packets := recorded(t, "teardown_4pkt.pcap")
	p := pcapFile(le, 0xa1b2c3d4, link, packets[:2])
	second := 24 + 16 + len(packets[0].data)
	head := append(section(le), description(le, uint16(link), 0)...)
	first := enhanced(le, 0, 0, packets[0])
	ng := append(append([]byte(nil), head...), first...)
	at := len(ng)
	put := func(b []byte, offset int, v uint32) []byte {
		b = bytes.Clone(b)
		le.PutUint32(b[offset:], v)
		return b
	}
	ng = append(ng, first...)
	many := bytes.Join([][]byte{section(le), bytes.Repeat(description(le, uint16(link), 0), 1<<16+1)}, nil)
	for _, test := range []struct {
		name    string
		file    []byte
		offset  int
		packets uint64
	}{
		{"a packet of 2 GiB", put(p, second+8, 1<<31), second, 1},
		{"a packet of 4 GiB - 1", put(p, second+8, 1<<32-1), second, 1},
		{"a packet longer than any", put(p, second+8, recording.MaxPacket+1), second, 1},
		{"a block of 2 GiB", put(ng, at+4, 1<<31), at, 1},
		{"a block of 8 bytes", put(ng, at+4, 8), at, 1},
		{"a block of none", put(ng, at+4, 0), at, 1},
		{"an odd block", put(ng, at+4, uint32(len(first)+1)), at, 1},
		{"a block with another length behind it", put(ng, at+len(first)-4, 64), at, 1},
		{"an unknown block of 4 GiB", put(put(ng, at, 0xbad), at+4, 1<<32-4), at, 1},
		{"a packet longer than its block", put(ng, at+8+12, uint32(len(packets[0].data)+100)), at, 1},
		{"a packet of no interface", put(ng, at+8, 1), at, 1},
		{"a block too short for a packet", append(bytes.Clone(ng[:at]), block(le, 6, make([]byte, 16))...), at, 1},
		{"a simple packet before its interface", append(section(le), block(le, 3, make([]byte, 16))...), len(section(le)), 0},
		{"an option longer than its block", append(section(le), description(le, 1, 0, le.AppendUint16(le.AppendUint16(nil, 9), 200))...), len(section(le)), 0},
		{"interfaces without end", many, len(section(le)) + len(description(le, 1, 0))<<16, 0},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, r, err := readAll(test.file, recording.Options{})
		runtime.ReadMemStats(&after)
		var cut *recording.CutError
		if !errors.As(err, &cut) || cut.Offset != int64(test.offset) || cut.Packet != test.packets {
			t.Errorf("%s: %v; want byte %d", test.name, err, test.offset)
		}
		// It is the length that is wrong, not the file that is short: but the
		// block that nobody knows may be as long as it likes.
		if errors.Is(err, io.ErrUnexpectedEOF) != strings.HasPrefix(test.name, "an unknown block") {
			t.Errorf("%s: %v", test.name, err)
		}
		if r != nil && r.Stats().Packets != test.packets {
			t.Errorf("%s: %+v", test.name, r.Stats())
		}
		// The table of interfaces is the largest, and it doubles as it grows.
		if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
			t.Errorf("%s: %d bytes were allocated", test.name, took)
		}
	}
}
