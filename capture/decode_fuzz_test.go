package capture_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tcpvet/tcpvet/capture"
)

// describe writes a segment with all that it refers to.
func describe(s capture.Segment) string { return fmt.Sprintf("%+v", s) }

// FuzzDecode holds that any bytes get a verdict, that a segment refers to bytes
// of the packet only, and that what was decoded before leaves no trace.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, link uint32, wire int, packet []byte) {
		packet = bytes.Clone(packet)
		var clean, used capture.Segment
		d := capture.Decoder{Checksums: true}
		verdict := d.Decode(capture.LinkType(link), packet, wire, &clean)
		if verdict > capture.UnknownLink {
			t.Fatalf("verdict %d", verdict)
		}
		if (verdict == capture.UnknownLink) == capture.LinkType(link).Known() {
			t.Fatalf("link type %d: %v", link, verdict)
		}
		d.Decode(capture.Ethernet, frame(70), 84, &used)
		used.Frame, used.At = 0, 0
		if again := d.Decode(capture.LinkType(link), packet, wire, &used); again != verdict {
			t.Fatalf("%v, then %v", verdict, again)
		}
		if verdict != capture.IsTCP {
			return
		}
		clean.VLANs, used.VLANs = [2]uint16{}, [2]uint16{} // beyond NumVLANs they mean nothing
		clean.Options.SACK, used.Options.SACK = [4]capture.Block{}, [4]capture.Block{}
		if a, b := describe(clean), describe(used); a != b {
			t.Fatalf("\n%s\n%s", a, b)
		}
		s := clean
		longest := max(wire, len(packet)) + 65535
		if s.Len < 0 || s.Len > longest || len(s.Payload) > s.Len || len(s.Options.Raw) > 40 || s.Options.NumSACK > 4 || s.NumVLANs > 2 {
			t.Fatalf("%+v", s)
		}
		if s.Checksum != capture.NotCheckable && (s.Cut || s.Fragment || len(s.Payload) != s.Len) {
			t.Fatalf("a checksum of what is not there: %+v", s)
		}
		if !s.Src.IsValid() || !s.Dst.IsValid() || s.Src.Addr().Is4() != s.Dst.Addr().Is4() || s.NoSeq {
			t.Fatalf("%+v", s)
		}
	})
}
