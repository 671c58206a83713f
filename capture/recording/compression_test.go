package recording_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/tcpvet/tcpvet/capture/recording"
)

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

// Compressed files are the files they were, up to two layers deep.
func TestCompressed(t *testing.T) {
	link, packets := recorded(t, "zero_window.pcap")
	file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, link, packets)
	for _, test := range []struct {
		format string
		file   []byte
	}{
		{"pcap, microseconds", file},
		{"pcap, microseconds, gzip", gzipped(t, file)},
		{"pcap, microseconds, zstd", zstandard(t, file)},
		{"pcap, microseconds, gzip, zstd", zstandard(t, gzipped(t, file))},
		{"pcap, microseconds, zstd, gzip", gzipped(t, zstandard(t, file))},
		{"pcap, microseconds, gzip", append(gzipped(t, file[:1000]), gzipped(t, file[1000:])...)}, // two members
	} {
		segments, r := read(t, test.file, recording.Options{})
		if len(segments) != len(packets) || r.Format() != test.format || r.SnapLen() != 262144 || !r.Dated() {
			t.Errorf("%d segments of %d, %q, want %q, snapshot length %d", len(segments), len(packets), r.Format(), test.format, r.SnapLen())
		}
	}
	if _, _, err := readAll(gzipped(t, gzipped(t, gzipped(t, file))), recording.Options{}); err == nil || !strings.Contains(err.Error(), "more than twice") {
		t.Errorf("three layers: %v", err)
	}
	for name, b := range map[string][]byte{"gzip": gzipped(t, file), "zstd": zstandard(t, file)} {
		segments, _, err := readAll(b[:len(b)*9/10], recording.Options{})
		var cut *recording.CutError
		if !errors.As(err, &cut) || !cut.Compressed || !errors.Is(err, io.ErrUnexpectedEOF) || uint64(len(segments)) != cut.Packet {
			t.Errorf("%s that was cut: %d segments, %v", name, len(segments), err)
		}
		b[len(b)/2] ^= 0xff
		if _, _, err := readAll(b, recording.Options{}); err == nil {
			t.Errorf("%s that was damaged reads without an error", name)
		}
	}
}

// What is no recording says so, and what a recording of is not read says which.
func TestNotRecordings(t *testing.T) {
	le := binary.LittleEndian
	other := pcapFile(le, 0xa1b2c3d4, 105, nil)
	old := pcapFile(le, 0xa1b2c3d4, 1, nil)
	old[4] = 3
	for _, test := range []struct {
		name string
		file []byte
		is   error
		says string
	}{
		{"empty", nil, nil, "empty"},
		{"an ELF file", []byte("\x7fELF\x02\x01\x01\x00\x00\x00"), recording.ErrUnknown, "neither pcap"},
		{"prose", []byte("It was a dark and stormy night; at 10:00 > the rain fell.\n"), recording.ErrNoPacket, "line 1"},
		{"802.11", other, nil, "link type 105"},
		{"another version", old, nil, "version 3.4"},
		{"a magic alone", []byte{0xd4, 0xc3, 0xb2, 0xa1}, io.ErrUnexpectedEOF, "byte 0"},
		{"a section without an order", []byte{10, 13, 13, 10, 28, 0, 0, 0, 1, 2, 3, 4}, nil, "byte order"},
		{"a gzip header alone", []byte{0x1f, 0x8b, 8, 0}, io.ErrUnexpectedEOF, "gzip"},
	} {
		_, _, err := readAll(test.file, recording.Options{})
		if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// What other programs read as it stands is neither compressed nor text.
func TestPlain(t *testing.T) {
	file, err := os.ReadFile("../testdata/teardown_4pkt.pcap")
	if err != nil {
		t.Fatal(err)
	}
	excerpt, err := os.ReadFile("../testdata/article-close-4.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		want bool
	}{"pcap": {file, true}, "text": {excerpt, false}, "gzip": {gzipped(t, file), false}} {
		r, err := recording.Open(bytes.NewReader(test.data), recording.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Plain() != test.want {
			t.Errorf("%s: plain is %v", name, r.Plain())
		}
		r.Close()
	}
}
