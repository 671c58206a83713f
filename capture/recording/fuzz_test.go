package recording_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// mostPackets ends the reading of what a few compressed bytes make.
const mostPackets = 1 << 16

// outcome reads bytes as a recording and holds what is true of any: every packet
// is counted once, times and frames go with it, and the end is told and stays.
func outcome(t *testing.T, r io.Reader, size int) (recording.Stats, string) {
	t.Helper()
	read, err := recording.Open(r, recording.Options{Checksums: true})
	if err != nil {
		if read != nil {
			t.Fatalf("a reader and an error: %v", err)
		}
		return recording.Stats{}, err.Error()
	}
	defer read.Close()
	var s capture.Segment
	var last recording.Stats
	for n := uint64(1); ; n++ {
		err = read.Next(&s)
		stats := read.Stats()
		if !accounted(stats) {
			t.Fatalf("%+v", stats)
		}
		if err != nil {
			break
		}
		if stats.TCP != n || s.Frame != stats.Packets || stats.Packets <= last.Packets || stats.Lines < last.Lines {
			t.Fatalf("segment %d, frame %d: %+v after %+v", n, s.Frame, stats, last)
		}
		if !s.Src.IsValid() || !s.Dst.IsValid() || s.Len < 0 || len(s.Payload) > s.Len || s.Options.NumSACK > 4 || s.Interface < 0 {
			t.Fatalf("%+v", s)
		}
		if read.Clock() == recording.NoClock && s.At != 0 {
			t.Fatalf("a time without a clock: %+v", s)
		}
		if last = stats; n == mostPackets {
			return stats, ""
		}
	}
	if err != io.EOF {
		var cut *recording.CutError
		if !errors.As(err, &cut) || cut.Packet > read.Stats().Packets || cut.Offset < 0 {
			t.Fatalf("%v", err)
		}
		if !cut.Compressed && cut.Offset > int64(size) {
			t.Fatalf("byte %d of %d", cut.Offset, size)
		}
	} else if read.Stats().Packets == 0 && read.Format() == "tcpdump text" {
		t.Fatal("a text without a packet is sound")
	}
	if again := read.Next(&s); again != err {
		t.Fatalf("%v, then %v", err, again)
	}
	return read.Stats(), err.Error()
}

// survive reads bytes twice, as they are and in pieces, which makes no
// difference.
func survive(t *testing.T, b []byte) {
	t.Helper()
	stats, end := outcome(t, bytes.NewReader(b), len(b))
	pieces, endOfPieces := outcome(t, iotest.HalfReader(bytes.NewReader(b)), len(b))
	if stats != pieces || end != endOfPieces {
		t.Fatalf("whole %+v, %s\npieces %+v, %s", stats, end, pieces, endOfPieces)
	}
}

// FuzzOpen reads anything, as each format that is recognised.
func FuzzOpen(f *testing.F) {
	f.Fuzz(survive)
}

// FuzzPcap reads what follows a sound file's head.
func FuzzPcap(f *testing.F) {
	f.Fuzz(func(t *testing.T, magic, link uint8, body []byte) {
		magics := [][]byte{{0xa1, 0xb2, 0xc3, 0xd4}, {0xd4, 0xc3, 0xb2, 0xa1}, {0xa1, 0xb2, 0x3c, 0x4d}, {0x4d, 0x3c, 0xb2, 0xa1}, {0xa1, 0xb2, 0xcd, 0x34}, {0x34, 0xcd, 0xb2, 0xa1}}
		links := []uint16{0, 1, 12, 14, 101, 108, 113, 228, 229, 276}
		head := make([]byte, 24)
		copy(head, magics[int(magic)%len(magics)])
		l := links[int(link)%len(links)]
		if head[0] == 0xa1 {
			head[5], head[22], head[23] = 2, byte(l>>8), byte(l)
		} else {
			head[4], head[20], head[21] = 2, byte(l), byte(l>>8)
		}
		survive(t, append(head, body...))
	})
}

// FuzzPcapng reads what follows a sound section's header, in both orders.
func FuzzPcapng(f *testing.F) {
	f.Fuzz(func(t *testing.T, big bool, body []byte) {
		head := []byte{10, 13, 13, 10, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 28, 0, 0, 0}
		if big {
			head = []byte{10, 13, 13, 10, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 28}
		}
		survive(t, append(head, body...))
	})
}

// FuzzText reads lines.
func FuzzText(f *testing.F) {
	f.Fuzz(func(t *testing.T, lines string) {
		survive(t, []byte(lines))
	})
}
