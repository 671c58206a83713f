package recording_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// What is written is what tcpdump and tshark read, and what we read.
func TestWriter(t *testing.T) {
	link, packets := recorded(t, "middlebox_idle_drop.pcap")
	for i := range packets {
		packets[i].at += int64(i)
	}
	var out bytes.Buffer
	w, err := recording.NewWriter(&out, capture.LinkType(link), 256)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.Write(p.at, p.data, p.wire); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := pcapFile(binary.LittleEndian, 0xa1b23c4d, link, packets)
	binary.LittleEndian.PutUint32(want[16:], 256)
	if !bytes.Equal(out.Bytes(), want) {
		t.Error("the file is not made as the format's description says")
	}
	agree(t, out.Bytes(), false)
	got, r := read(t, out.Bytes(), recording.Options{})
	if len(got) != len(packets) || r.SnapLen() != 256 || r.Format() != "pcap, nanoseconds" {
		t.Errorf("%d segments of %d, %s", len(got), len(packets), r.Format())
	}
	lines := tcpdump(t, out.Bytes(), "-n", "-tt", "--nano")
	if n := bytes.Count(lines, []byte("\n")); n != len(packets) || !bytes.Contains(lines, []byte(".564918000 IP ")) {
		t.Errorf("tcpdump prints %d packets of %d", n, len(packets))
	}
}

type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterErrors(t *testing.T) {
	w, err := recording.NewWriter(full{}, capture.Ethernet, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
	if err := w.Write(0, nil, 0); !errors.Is(err, errFull) {
		t.Errorf("after the error: %v", err)
	}
	for name, try := range map[string]func(*recording.Writer) error{
		"before 1970": func(w *recording.Writer) error { return w.Write(-1, nil, 0) },
		"after 2106":  func(w *recording.Writer) error { return w.Write(math.MaxInt64, nil, 0) },
		"too long":    func(w *recording.Writer) error { return w.Write(0, make([]byte, recording.MaxPacket+1), 0) },
	} {
		var out bytes.Buffer
		w, err := recording.NewWriter(&out, capture.Ethernet, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := try(w); err == nil || !strings.Contains(err.Error(), "does not fit") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
