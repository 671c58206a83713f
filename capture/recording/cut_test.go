package recording_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// samples are one file of each format, of n packets, with where the records
// begin that hold them.
func samples(t testing.TB, n int) map[string]sample {
	t.Helper()
	link, packets := recorded(t, "teardown_4pkt.pcap")
	packets = packets[:n]
	be := binary.BigEndian
	p := pcapFile(be, 0xa1b23c4d, link, packets)
	sampleOf := map[string]sample{"pcap": {file: p}}
	at := 24
	for _, k := range packets {
		s := sampleOf["pcap"]
		s.starts = append(s.starts, at)
		sampleOf["pcap"] = s
		at += 16 + len(k.data)
	}
	ng := append(section(be), description(be, uint16(link), 0)...)
	var s sample
	for _, k := range packets {
		s.starts = append(s.starts, len(ng))
		ng = append(ng, enhanced(be, 0, uint64(k.at/1000), k, option(be, 1, []byte("comment")))...)
	}
	s.file = ng
	sampleOf["pcapng"] = s
	return sampleOf
}

type sample struct {
	file   []byte
	starts []int
}

// A file that was cut anywhere gives the packets before the cut, and then says
// where it was: at the record that is not whole.
func TestCutAnywhere(t *testing.T) {
	for name, s := range samples(t, 9) {
		whole, _ := read(t, s.file, recording.Options{})
		if len(whole) != len(s.starts) {
			t.Fatalf("%s: %d segments of %d", name, len(whole), len(s.starts))
		}
		for n := range s.file {
			sound, before, start := false, 0, 0
			for _, at := range s.starts {
				if n >= at {
					sound = n == at
					start = at
					before++
				}
			}
			if before > 0 {
				before--
			}
			got, r, err := readAll(s.file[:n], recording.Options{})
			if r == nil || n < 4 { // less than 4 bytes could be anything
				if n >= s.starts[0] || err == nil {
					t.Fatalf("%s cut at %d: %v", name, n, err)
				}
				continue
			}
			if len(got) != before || !accounted(r.Stats()) {
				t.Fatalf("%s cut at %d: %d segments, want %d", name, n, len(got), before)
			}
			if sound || name == "pcapng" && n == len(section(binary.BigEndian)) {
				if err != nil {
					t.Fatalf("%s cut at %d, between records: %v", name, n, err)
				}
				continue
			}
			var cut *recording.CutError
			if !errors.As(err, &cut) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			if start > 0 && (cut.Offset != int64(start) || cut.Packet != uint64(before)) {
				t.Fatalf("%s cut at %d: told of byte %d, packet %d; the record begins at %d, after %d packets", name, n, cut.Offset, cut.Packet, start, before)
			}
		}
	}
}

// The end stays: a caller that goes on asking is told the same.
func TestEndStays(t *testing.T) {
	s := samples(t, 2)["pcap"]
	r, err := recording.Open(bytes.NewReader(s.file[:len(s.file)-1]), recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var seg capture.Segment
	if err := r.Next(&seg); err != nil {
		t.Fatal(err)
	}
	first := r.Next(&seg)
	if second := r.Next(&seg); first == nil || second != first {
		t.Errorf("first %v, then %v", first, second)
	}
}

// However the bytes come, they are the same file; and an error of the reader is
// told with what had come before it.
func TestHoweverItComes(t *testing.T) {
	broken := errors.New("disk on fire")
	text := []byte("13:00:00.000001 IP 10.0.0.1.1000 > 10.0.0.2.80: Flags [S], seq 7, win 9, length 0\n13:00:00.000002 IP 10.0.0.2.80 > 10.0.0.1.1000: Flags [S.], seq 70, ack 8, win 9, length 0\n")
	all := samples(t, 2)
	all["text"] = sample{file: text}
	all["gzip"] = sample{file: gzipped(t, all["pcap"].file)}
	all["zstd"] = sample{file: zstandard(t, all["pcap"].file)}
	for name, s := range all {
		for way, reader := range map[string]io.Reader{
			"a byte at a time": iotest.OneByteReader(bytes.NewReader(s.file)),
			"halves":           iotest.HalfReader(bytes.NewReader(s.file)),
			"data with EOF":    iotest.DataErrReader(bytes.NewReader(s.file)),
			"then an error":    io.MultiReader(bytes.NewReader(s.file), iotest.ErrReader(broken)),
		} {
			r, err := recording.Open(reader, recording.Options{})
			if err != nil {
				t.Errorf("%s, %s: %v", name, way, err)
				continue
			}
			var seg capture.Segment
			n := 0
			for err = r.Next(&seg); err == nil; err = r.Next(&seg) {
				n++
			}
			want := io.EOF
			if way == "then an error" {
				want = broken
			}
			if n != 2 || !errors.Is(err, want) {
				t.Errorf("%s, %s: %d segments, then %v", name, way, n, err)
			}
			r.Close()
		}
	}
}

// stuck gives nothing, for ever.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestStuckReader(t *testing.T) {
	s := samples(t, 1)["pcap"]
	r, err := recording.Open(io.MultiReader(bytes.NewReader(s.file), stuck{}), recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var seg capture.Segment
	if err = r.Next(&seg); err == nil {
		err = r.Next(&seg)
	}
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}
