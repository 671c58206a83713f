package lab

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
)

// A handshake with a lost answer, data that nobody acknowledges, and a second
// conversation that is reset under way: each line says what RFC 9293 has the
// segment lead to.
func TestSegmentTable(t *testing.T) {
	client, server := netip.MustParseAddrPort("10.77.1.1:40000"), netip.MustParseAddrPort("10.77.1.2:80")
	other := netip.AddrPortFrom(client.Addr(), 40002)
	r := newRecording()
	ms := int64(0)
	cross := func(fate Fate, from, to netip.AddrPort, seq, ack uint32, flags capture.Flags, length int) {
		r.add(Crossing{Fate: fate, Segment: capture.Segment{
			At: ms * 1e6, Src: from, Dst: to, Seq: seq, Ack: ack, Flags: flags, Len: length, Window: 1000,
		}})
		ms += 10
	}
	cross(Passed, client, server, 1000, 0, capture.SYN, 0)
	cross(Dropped, server, client, 5000, 1001, capture.SYN|capture.ACK, 0)
	cross(Passed, server, client, 5000, 1001, capture.SYN|capture.ACK, 0)
	cross(Passed, client, server, 1001, 5001, capture.ACK, 0)
	cross(Dropped, client, server, 1001, 5001, capture.ACK|capture.PSH, 7)
	cross(Passed, client, server, 1001, 5001, capture.FIN|capture.ACK, 0)

	var one strings.Builder
	segmentTable(&one, r.Segments())
	const want = `
                0.0 ms  client > server  SYN seq 0                     client SYN-SENT
               10.0 ms  server > client  SYN ACK seq 0 ack 1 (dropped)
               20.0 ms  server > client  SYN ACK seq 0 ack 1           server SYN-RECV
               30.0 ms  client > server  ACK seq 1 ack 1               both ESTAB
               40.0 ms  client > server  ACK seq 1 ack 1 length 7 (dropped)
               50.0 ms  client > server  FIN ACK seq 1 ack 1           client FIN-WAIT-1
`
	if got := "\n" + one.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}

	cross(Answered, other, server, 7000, 0, capture.SYN, 0)
	cross(Forged, server, other, 0, 7001, capture.RST|capture.ACK, 0)
	var two strings.Builder
	segmentTable(&two, r.Segments())
	for _, line := range []string{
		"50.0 ms  40000  client > server  FIN ACK seq 1 ack 1",
		"60.0 ms  40002  client > server  SYN seq 0 (answered)",
		"70.0 ms  40002  server > client  RST ACK",
	} {
		if !strings.Contains(two.String(), line) {
			t.Errorf("no line %q in:\n%s", line, two.String())
		}
	}
}

// The checksums are those of the decoder, and the numbers those of RFC 9293,
// section 3.10.7.1.
func TestResetFor(t *testing.T) {
	for _, c := range []struct {
		from, to  string
		flags     capture.Flags
		length    int
		seq, ack  uint32
		withoutIt bool // no ACK in the RST
	}{
		{"10.0.0.1:1000", "10.0.0.2:80", capture.SYN, 0, 0, 1001, false},
		{"10.0.0.1:1000", "10.0.0.2:80", capture.ACK, 9, 77, 0, true},
		{"[fd77::1]:1000", "[fd77::2]:80", capture.FIN, 4, 0, 1005, false},
		{"[fd77::1]:1000", "[fd77::2]:80", capture.FIN | capture.ACK, 0, 77, 0, true},
	} {
		p := parcel{tcp: true, c: Crossing{Segment: capture.Segment{
			Src: netip.MustParseAddrPort(c.from), Dst: netip.MustParseAddrPort(c.to), Seq: 1000, Ack: 77, Flags: c.flags, Len: c.length,
		}}}
		r := resetFor(&p, nil)
		var s capture.Segment
		d := capture.Decoder{Checksums: true}
		if verdict := d.Decode(capture.Raw, r.packet, len(r.packet), &s); verdict != capture.IsTCP || s.Checksum != capture.Right {
			t.Errorf("%v: the RST is %v, its checksum %v", c, verdict, s.Checksum)
			continue
		}
		if s.Src != p.c.Segment.Dst || s.Dst != p.c.Segment.Src || !s.Flags.Has(capture.RST) || s.Flags.Has(capture.ACK) == c.withoutIt || s.Seq != c.seq || s.Ack != c.ack {
			t.Errorf("%v: got %+v", c, s)
		}
		if ip := r.packet; s.Src.Addr().Is4() && checksum(ip[:20]) != 0 {
			t.Errorf("%v: the IP header's checksum is wrong", c)
		}
	}
}
