package capture_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
)

// frame is a SYN in Ethernet, with the options that Linux sends, and 10 bytes
// behind it, which are padding if the datagram's length does not count them.
func frame(total int) []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}
	b = append(b, 0x45, 0x02, byte(total>>8), byte(total), 0x12, 0x34, 0x40, 0, 63, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2)
	b = append(b, 0x9c, 0x40, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0xa0, 2, 0xfa, 0xf0, 0, 0, 0, 9)
	b = append(b, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0, 1, 3, 3, 7)
	b = append(b, "0123456789"...)
	if total >= 60 {
		sum(b[34:min(14+total, len(b))], b[26:34])
	}
	return b
}

// sum fills in a segment's checksum, as RFC 1071 defines it.
func sum(segment, ends []byte) {
	segment[16], segment[17] = 0, 0
	var total uint32
	for i, c := range slices.Concat(ends, []byte{0, 6, byte(len(segment) >> 8), byte(len(segment))}, segment) {
		total += uint32(c) << (8 * (1 - i%2))
	}
	for total > 0xffff {
		total = total&0xffff + total>>16
	}
	binary.BigEndian.PutUint16(segment[16:], ^uint16(total))
}

func decode(t *testing.T, b []byte, wire int) (capture.Segment, capture.Verdict) {
	t.Helper()
	s := capture.Segment{Frame: 7, At: 8, Interface: 9, NoSeq: true}
	d := capture.Decoder{Checksums: true}
	v := d.Decode(capture.Ethernet, slices.Clip(b), wire, &s)
	if s.Frame != 7 || s.At != 8 || s.Interface != 9 {
		t.Errorf("the reader's fields were changed: %+v", s)
	}
	return s, v
}

// Every field of a segment is read, and padding is no payload.
func TestDecode(t *testing.T) {
	for _, payload := range []int{0, 10} {
		b := frame(60 + payload)
		s, v := decode(t, b, len(b))
		want := capture.Segment{
			Frame: 7, At: 8, Interface: 9,
			Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("198.51.100.2:80"),
			Seq: 0x01020304, Ack: 0x05060708, Flags: capture.SYN, Window: 0xfaf0, Urgent: 9, Sum: binary.BigEndian.Uint16(b[50:]), Len: payload,
			Checksum: capture.Right, TTL: 63, TOS: 2, IPID: 0x1234,
		}
		options := capture.Options{
			Has: capture.HasMSS | capture.HasSACKPermitted | capture.HasTimestamps | capture.HasWScale,
			MSS: 1460, WScale: 7, TSVal: 256, TSEcr: 512,
		}
		if v != capture.IsTCP || string(s.Payload) != "0123456789"[:payload] || string(s.Options.Raw) != string(b[54:74]) {
			t.Errorf("%v: payload %q", v, s.Payload)
		}
		s.Payload, s.Options.Raw = nil, nil
		if !same(s.Options, options) {
			t.Errorf("options %+v", s.Options)
		}
		s.Options = capture.Options{}
		if got, want := describe(s), describe(want); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

func same(a, b capture.Options) bool {
	return a.Has == b.Has && a.MSS == b.MSS && a.WScale == b.WScale && a.TSVal == b.TSVal && a.TSEcr == b.TSEcr &&
		slices.Equal(a.SACK[:a.NumSACK], b.SACK[:b.NumSACK])
}

// However little was captured, what was is read, and no more is claimed.
func TestDecodeCut(t *testing.T) {
	b := frame(70)
	for n := range len(b) + 1 {
		s, v := decode(t, b[:n], len(b))
		if n < 54 {
			if v != capture.Short {
				t.Errorf("%d bytes: %v", n, v)
			}
			continue
		}
		if v != capture.IsTCP || s.Len != 10 || s.Cut != (n < 74) || len(s.Options.Raw) != min(n, 74)-54 || len(s.Payload) != max(n-74, 0) {
			t.Errorf("%d bytes: %v, length %d, cut %v, %d bytes of options, %d of payload", n, v, s.Len, s.Cut, len(s.Options.Raw), len(s.Payload))
		}
		if want := map[bool]capture.Checksum{true: capture.Right}[n == len(b)]; s.Checksum != want {
			t.Errorf("%d bytes: checksum %v", n, s.Checksum)
		}
	}
}

// Headers that contradict themselves, other protocols, fragments.
func TestDecodeVerdicts(t *testing.T) {
	six := func(kind byte, rest ...byte) []byte {
		b := frame(60)[:14]
		b[12], b[13] = 0x86, 0xdd
		b = append(b, 0x60, 0, 0, 0, byte(len(rest)>>8), byte(len(rest)), kind, 64)
		b = append(b, make([]byte, 32)...)
		return append(b, rest...)
	}
	tcp := frame(60)[34:74]
	edit := func(at int, values ...byte) []byte {
		b := frame(70)
		copy(b[at:], values)
		return b
	}
	for _, test := range []struct {
		name  string
		b     []byte
		want  capture.Verdict
		check func(s *capture.Segment) bool
	}{
		{"IPv4 header of 16 bytes", edit(14, 0x44), capture.Malformed, nil},
		{"IPv4 shorter than its header", edit(16, 0, 19), capture.Malformed, nil},
		{"IPv4 too short for TCP", edit(16, 0, 39), capture.Malformed, nil},
		{"IPv4 header beyond what is there", edit(14, 0x4f)[:60], capture.Short, nil},
		{"TCP header of 16 bytes", edit(46, 0x40), capture.Malformed, nil},
		{"TCP header longer than the datagram", edit(46, 0xf0), capture.Malformed, nil},
		{"version 5", edit(14, 0x55), capture.Malformed, nil},
		{"UDP", edit(23, 17), capture.NotTCP, nil},
		{"ARP", edit(12, 8, 6), capture.NotTCP, nil},
		{"IEEE 802.3 length", edit(12, 0, 50), capture.NotTCP, nil},
		{"a tag without its end", edit(12, 0x81, 0)[:16], capture.Short, nil},
		{"a later fragment", edit(20, 0, 1), capture.LaterFragment, nil},
		{"a later fragment of UDP", edit(20, 0, 1, 64, 17), capture.NotTCP, nil},
		{"the first fragment", edit(20, 0x20, 0), capture.IsTCP, func(s *capture.Segment) bool {
			return s.Fragment && s.Checksum == capture.NotCheckable && s.Len == 10
		}},
		{"a first fragment that ends in the TCP header", edit(16, 0, 50, 0, 0, 0x20, 0), capture.IsTCP, func(s *capture.Segment) bool {
			return s.Fragment && s.Cut && s.Len == 0 && len(s.Options.Raw) == 10 && s.Options.MSS == 1460
		}},
		{"a first fragment that ends before it does", edit(16, 0, 39, 0, 0, 0x20, 0), capture.Malformed, nil},
		{"offloaded, of length 0", edit(16, 0, 0), capture.IsTCP, func(s *capture.Segment) bool { return s.Len == 10 }},
		{"a wrong checksum", edit(50, 1), capture.IsTCP, func(s *capture.Segment) bool { return s.Checksum == capture.Wrong }},
		{"IPv6", six(6, tcp...), capture.IsTCP, func(s *capture.Segment) bool { return s.Len == 0 && s.TTL == 64 && s.IPID == 0 }},
		{"IPv6 of length 0", func() []byte { b := six(6, tcp...); b[18], b[19] = 0, 0; return b }(), capture.IsTCP, func(s *capture.Segment) bool { return s.Len == 0 }},
		{"IPv6 jumbogram", func() []byte {
			b := six(0, slices.Concat([]byte{6, 0, 194, 4, 0, 1, 0, 8}, tcp, make([]byte, 100))...)
			b[18], b[19] = 0, 0
			return b
		}(), capture.IsTCP, func(s *capture.Segment) bool { return s.Len == 100 }},
		{"IPv6 UDP", six(17, tcp...), capture.NotTCP, nil},
		{"IPv6, no next header", six(59), capture.NotTCP, nil},
		{"IPv6, ESP", six(50, tcp...), capture.NotTCP, nil},
		{"IPv6 too short for TCP", six(6, tcp[:19]...), capture.Malformed, nil},
		{"IPv6 first fragment", six(44, append([]byte{6, 0, 0, 1, 0, 0, 0, 1}, tcp...)...), capture.IsTCP, func(s *capture.Segment) bool { return s.Fragment }},
		{"IPv6 later fragment", six(44, append([]byte{6, 0, 0, 9, 0, 0, 0, 1}, tcp...)...), capture.LaterFragment, nil},
		{"IPv6 later fragment of UDP", six(44, append([]byte{17, 0, 0, 9, 0, 0, 0, 1}, tcp...)...), capture.NotTCP, nil},
		{"IPv6 later fragment of options", six(44, append([]byte{60, 0, 0, 9, 0, 0, 0, 1}, tcp...)...), capture.LaterFragment, nil},
		{"IPv6 extension longer than the datagram", six(60, append([]byte{6, 9, 1, 4, 0, 0, 0, 0}, tcp...)...), capture.Malformed, nil},
		{"IPv6 extension without its end", six(60, append([]byte{6, 2, 1, 20}, make([]byte, 60)...)...)[:70], capture.Short, nil},
		{"IPv6 extension of four bytes", six(60, 6, 0, 1, 2), capture.Malformed, nil},
		{"IPv6 routed over others", six(43, append([]byte{6, 0, 4, 1, 0, 0, 0, 0}, tcp...)...), capture.IsTCP, func(s *capture.Segment) bool {
			return s.Checksum == capture.NotCheckable // of the last destination, which is in the header
		}},
		{"IPv4 source route", func() []byte {
			b := slices.Insert(frame(60), 34, 1, 131, 7, 4, 10, 0, 0, 9)
			b[14], b[17] = 0x47, 68
			return b
		}(), capture.IsTCP, func(s *capture.Segment) bool { return s.Checksum == capture.NotCheckable && s.Options.MSS == 1460 }},
		{"IPv4 with AH", func() []byte {
			b := slices.Insert(frame(60), 34, append([]byte{6, 1}, make([]byte, 10)...)...)
			b[23], b[17] = 51, 72
			return b
		}(), capture.IsTCP, func(s *capture.Segment) bool { return s.Checksum == capture.Right && s.Len == 0 }},
		{"IPv4 with AH, later fragment", edit(20, 0, 5, 64, 51), capture.LaterFragment, nil},
	} {
		s, v := decode(t, test.b, len(test.b))
		if v != test.want || test.check != nil && !test.check(&s) {
			t.Errorf("%s: %v, want %v; %+v", test.name, v, test.want, s)
		}
	}
	var s capture.Segment
	if v := new(capture.Decoder).Decode(105, frame(60), 70, &s); v != capture.UnknownLink {
		t.Errorf("link type 105: %v", v)
	}
	if v := new(capture.Decoder).Decode(capture.Null, []byte{7, 0, 0, 0, 0x45}, 5, &s); v != capture.NotTCP {
		t.Errorf("loopback, family 7: %v", v)
	}
	for _, link := range []capture.LinkType{capture.Null, capture.Ethernet, capture.Raw, capture.Loop, capture.LinuxSLL, capture.LinuxSLL2, capture.IPv4, capture.IPv6} {
		if v := new(capture.Decoder).Decode(link, nil, 0, &s); v != capture.Short {
			t.Errorf("%v: nothing at all: %v", link, v)
		}
	}
}

// Tags are kept, the outer first, up to two; what is not asked for is not
// verified.
func TestDecodeVLANs(t *testing.T) {
	b := slices.Insert(frame(60), 12, 0x88, 0xa8, 0xf0, 100, 0x91, 0, 0, 200, 0x81, 0, 0, 7)
	var s capture.Segment
	v := new(capture.Decoder).Decode(capture.Ethernet, b, len(b), &s)
	if v != capture.IsTCP || s.NumVLANs != 2 || s.VLANs != [2]uint16{100, 200} || s.Checksum != capture.NotCheckable {
		t.Errorf("%v, %+v", v, s)
	}
	// The next packet has none.
	new(capture.Decoder).Decode(capture.Ethernet, frame(60), 74, &s)
	if s.NumVLANs != 0 {
		t.Errorf("%d tags", s.NumVLANs)
	}
}

// Options are read up to the first unsound one; those of another length than
// their kind has are passed over.
func TestDecodeOptions(t *testing.T) {
	ts := []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	const hasTS = capture.HasTimestamps
	for _, test := range []struct {
		name string
		raw  []byte
		want capture.Options
	}{
		{"end", slices.Concat([]byte{0}, ts), capture.Options{}},
		{"nops", slices.Concat([]byte{1, 1, 1}, ts), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"length 0", slices.Concat(ts, []byte{2, 0, 5, 180}), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"length 1", slices.Concat([]byte{2, 1}, ts), capture.Options{}},
		{"longer than the header", slices.Concat(ts, []byte{3, 4, 7}), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"a kind alone", slices.Concat(ts, []byte{3}), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"MSS of 3 bytes", slices.Concat([]byte{2, 3, 9}, ts), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"unknown", slices.Concat([]byte{77, 4, 9, 9}, ts), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"SACK", []byte{5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 9}, capture.Options{
			Has: capture.HasSACK, NumSACK: 2, SACK: [4]capture.Block{{Left: 1, Right: 2}, {Left: 1<<32 - 1, Right: 9}}}},
		{"SACK of half a block", slices.Concat([]byte{5, 6, 0, 0, 0, 1}, ts), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"SACK of none", slices.Concat([]byte{5, 2}, ts), capture.Options{Has: hasTS, TSVal: 1, TSEcr: 2}},
		{"fast open", []byte{34, 2}, capture.Options{Has: capture.HasFastOpen}},
		{"fast open, as it was", []byte{254, 4, 0xf9, 0x89}, capture.Options{Has: capture.HasFastOpen}},
		{"another experiment", []byte{254, 4, 0xf9, 0x88}, capture.Options{}},
		{"an experiment without a number", []byte{254, 3, 0xf9}, capture.Options{}},
	} {
		b := frame(60)[:54]
		// The header ends where the options do, so that nothing is padding.
		raw := test.raw
		if n := len(raw) % 4; n != 0 {
			raw = append(slices.Repeat([]byte{1}, 4-n), raw...)
		}
		b = append(b, raw...)
		b[17], b[46] = byte(len(b)-14), byte((20+len(raw))/4)<<4
		s, v := decode(t, b, len(b))
		if v != capture.IsTCP || !same(s.Options, test.want) {
			t.Errorf("%s: %v, %+v", test.name, v, s.Options)
		}
	}
}

// Decoding takes no memory.
func TestDecodeAllocates(t *testing.T) {
	b := frame(70)
	var s capture.Segment
	d := capture.Decoder{Checksums: true}
	if n := testing.AllocsPerRun(1000, func() { d.Decode(capture.Ethernet, b, len(b), &s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	syn := frame(60)[:74]
	ack := append(frame(60)[:54], 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2)
	ack[17], ack[46], ack[47] = 52, 0x80, 0x10
	for _, test := range []struct {
		name string
		d    capture.Decoder
		b    []byte
	}{
		{"ack", capture.Decoder{}, ack},
		{"syn", capture.Decoder{}, syn},
		{"syn-checksum", capture.Decoder{Checksums: true}, syn},
	} {
		b.Run(test.name, func(b *testing.B) {
			var s capture.Segment
			for b.Loop() {
				if test.d.Decode(capture.Ethernet, test.b, len(test.b), &s) != capture.IsTCP {
					b.Fatal("not read")
				}
			}
		})
	}
}
