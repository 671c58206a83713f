package recording_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

const testdata = "../testdata"

// packet is one packet of a recording that a test makes.
type packet struct {
	at   int64 // nanoseconds since 1970
	data []byte
	wire int
}

// recorded reads the packets of a pcap file as Linux's tcpdump writes it, which
// all of testdata are: little-endian, microseconds.
func recorded(t testing.TB, name string) (link uint32, packets []packet) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testdata, name))
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	if le.Uint32(b) != 0xa1b2c3d4 {
		t.Fatalf("%s is not a little-endian pcap file of microseconds", name)
	}
	link = le.Uint32(b[20:])
	for b = b[24:]; len(b) > 0; {
		at := int64(le.Uint32(b))*1e9 + int64(le.Uint32(b[4:]))*1000
		kept, wire := int(le.Uint32(b[8:])), int(le.Uint32(b[12:]))
		packets = append(packets, packet{at, b[16 : 16+kept], wire})
		b = b[16+kept:]
	}
	return link, packets
}

// captures names the pcap files of testdata.
func captures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testdata, "*.pcap"))
	if err != nil || len(files) != 18 {
		t.Fatalf("%d captures in %s, of 18; %v", len(files), testdata, err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// pcapFile makes a pcap file.
func pcapFile(order binary.AppendByteOrder, magic, link uint32, packets []packet) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 262144)
	b = order.AppendUint32(b, link)
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(p.at/1e9))
		fraction := p.at % 1e9
		if magic != 0xa1b23c4d {
			fraction /= 1000
		}
		b = order.AppendUint32(b, uint32(fraction))
		b = order.AppendUint32(b, uint32(len(p.data)))
		b = order.AppendUint32(b, uint32(p.wire))
		if magic == 0xa1b2cd34 {
			b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
		}
		b = append(b, p.data...)
	}
	return b
}

// block makes a pcapng block.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	size := uint32(len(body) + 12)
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, size)
	b = append(b, body...)
	return order.AppendUint32(b, size)
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint64(b, 1<<64-1)
	return block(order, 0x0a0d0d0a, b)
}

// option makes an option of a pcapng block.
func option(order binary.AppendByteOrder, kind uint16, value []byte) []byte {
	b := order.AppendUint16(nil, kind)
	b = order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func description(order binary.AppendByteOrder, link uint16, snap uint32, options ...[]byte) []byte {
	b := order.AppendUint16(nil, link)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, snap)
	if len(options) > 0 {
		options = append(options, option(order, 0, nil))
	}
	return block(order, 1, append(b, bytes.Join(options, nil)...))
}

// enhanced makes an Enhanced Packet Block.
func enhanced(order binary.AppendByteOrder, number uint32, units uint64, p packet, options ...[]byte) []byte {
	b := order.AppendUint32(nil, number)
	b = order.AppendUint32(b, uint32(units>>32))
	b = order.AppendUint32(b, uint32(units))
	b = order.AppendUint32(b, uint32(len(p.data)))
	b = order.AppendUint32(b, uint32(p.wire))
	b = append(b, p.data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return block(order, 6, append(b, bytes.Join(options, nil)...))
}

// read reads a whole recording. The segments own their bytes.
func read(t testing.TB, b []byte, o recording.Options) ([]capture.Segment, *recording.Reader) {
	t.Helper()
	segments, r, err := readAll(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return segments, r
}

func readAll(b []byte, o recording.Options) (segments []capture.Segment, r *recording.Reader, err error) {
	r, err = recording.Open(bytes.NewReader(b), o)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var s capture.Segment
	for {
		if err := r.Next(&s); err != nil {
			if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return segments, r, err
			}
			return segments, r, nil
		}
		c := s
		c.Payload, c.Options.Raw = slices.Clone(s.Payload), slices.Clone(s.Options.Raw)
		segments = append(segments, c)
	}
}

// accounted tells whether every packet was counted once.
func accounted(s recording.Stats) bool {
	return s.Packets == s.TCP+s.Other+s.Fragments+s.Short+s.Malformed
}
