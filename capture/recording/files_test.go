package recording_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

// A packet may have as many bytes as a recording may hold, also where it is
// longer than what is read at once.
func TestLongestPacket(t *testing.T) {
	long := segment(4, 1, false, capture.ACK, 1, 2, 60000, nil)
	long = append(long, make([]byte, recording.MaxPacket-len(long))...)
	short := segment(4, 1, false, capture.ACK, 60001, 2, 0, nil)
	file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, 1, []packet{{0, short, len(short)}, {0, long, len(long)}, {0, short, len(short)}})
	got, _ := read(t, file, recording.Options{Checksums: true})
	if len(got) != 3 || got[1].Len != 60000 || len(got[1].Payload) != 60000 || got[1].Checksum != capture.Right || got[2].Checksum != capture.Right {
		t.Errorf("%d segments", len(got))
	}
}

// Simple packets have no time: they take that of the packet before. What was
// kept of them is bounded by the interface's snapshot length.
func TestSimplePackets(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		data := segment(4, 1, false, capture.ACK, 5, 6, 200, nil)
		simple := func(kept int) []byte {
			return block(order, 3, append(order.AppendUint32(nil, uint32(len(data))), data[:kept]...))
		}
		file := bytes.Join([][]byte{
			section(order), description(order, 1, 100),
			simple(100),
			enhanced(order, 0, 1795528532e6, packet{0, data, len(data)}),
			simple(100),
		}, nil)
		got, r := read(t, file, recording.Options{})
		if len(got) != 3 || got[0].At != 0 || got[1].At != 1795528532e9 || got[2].At != 1795528532e9 {
			t.Fatalf("%+v", got)
		}
		if got[2].Len != 200 || len(got[2].Payload) != 100-54 || r.SnapLen() != 100 || r.Format() != "pcapng" {
			t.Errorf("length %d, kept %d, snapshot length %d", got[2].Len, len(got[2].Payload), r.SnapLen())
		}
	}
}

// Interfaces of link types that are not read leave the others readable, and are
// told of.
func TestUnreadInterface(t *testing.T) {
	le := binary.LittleEndian
	data := segment(4, 1, false, capture.ACK, 5, 6, 0, nil)
	file := bytes.Join([][]byte{
		section(le), description(le, 105, 0), description(le, 1, 0),
		enhanced(le, 0, 0, packet{0, data, len(data)}), enhanced(le, 1, 0, packet{0, data, len(data)}),
		section(le), description(le, 1, 0), enhanced(le, 0, 0, packet{0, data, len(data)}),
	}, nil)
	got, r := read(t, file, recording.Options{})
	s := r.Stats()
	if len(got) != 2 || got[0].Frame != 2 || got[0].Interface != 1 || got[1].Interface != 2 || s.Other != 1 || s.Packets != 3 || !strings.Contains(s.Trouble, "link type 105") {
		t.Errorf("%+v, %+v", got, s)
	}
}

// Every packet is counted, as what it is.
func TestStats(t *testing.T) {
	good := segment(4, 1, false, capture.ACK, 5, 6, 100, nil)
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	var packets []packet
	for _, data := range [][]byte{
		good, good, good,
		change(func(b []byte) { b[14+9] = 17 }),           // UDP
		change(func(b []byte) { b[12] = 0x12 }),           // no IP
		change(func(b []byte) { b[14+7] = 5 }),            // a later fragment
		good[:40],                                         // short
		change(func(b []byte) { b[14+20+12] = 0x40 }),     // a header of 16 bytes
		change(func(b []byte) { b[14+2], b[17] = 0, 19 }), // a datagram shorter than its header
		change(func(b []byte) { b[14] = 0x35 }),           // version 3
	} {
		packets = append(packets, packet{0, data, len(good)})
	}
	_, r := read(t, pcapFile(binary.LittleEndian, 0xa1b2c3d4, 1, packets), recording.Options{})
	want := recording.Stats{Packets: 10, TCP: 3, Other: 2, Fragments: 1, Short: 1, Malformed: 3, Trouble: "packet 8: its headers contradict themselves"}
	if got := r.Stats(); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// Reading takes no memory for each packet.
func TestNoAllocation(t *testing.T) {
	link, packets := recorded(t, "nagle_delayed_ack.pcap")
	var many []packet
	for range 50 {
		many = append(many, packets...)
	}
	le := binary.LittleEndian
	ng := append(section(le), description(le, uint16(link), 0)...)
	for _, p := range many {
		ng = append(ng, enhanced(le, 0, uint64(p.at/1000), p)...)
	}
	for name, file := range map[string][]byte{"pcap": pcapFile(le, 0xa1b2c3d4, link, many), "pcapng": ng} {
		r, err := recording.Open(bytes.NewReader(file), recording.Options{Checksums: true})
		if err != nil {
			t.Fatal(err)
		}
		var s capture.Segment
		if err := r.Next(&s); err != nil { // the window is there now
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(len(many)-10, func() {
			if err := r.Next(&s); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a packet", name, n)
		}
	}
}
