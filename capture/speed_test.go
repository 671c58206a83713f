package capture_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// traffic are conversations of 9 segments each, width of them at a time:
// handshake, request, answer, four-way close.
func traffic(conversations, width int) []capture.Segment {
	segments := make([]capture.Segment, 0, 9*conversations)
	for first := 0; first < conversations; first += width {
		for step := range 9 {
			for i := first; i < min(first+width, conversations); i++ {
				var a [4]byte
				binary.BigEndian.PutUint32(a[:], 10<<24|uint32(i/20000))
				client := netip.AddrPortFrom(netip.AddrFrom4(a), uint16(33000+i%20000))
				server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 255, 0, 1}), 8080)
				s := capture.Segment{At: int64(len(segments)) * 1000, Src: client, Dst: server, Window: 500, TTL: 64, IPID: uint16(step + 1)}
				fromServer := false
				set := func(f capture.Flags, seq, ack uint32, n int) { s.Flags, s.Seq, s.Ack, s.Len = f, seq, ack, n }
				switch step {
				case 0:
					set(capture.SYN, 100, 0, 0)
				case 1:
					fromServer = true
					set(capture.SYN|capture.ACK, 300, 101, 0)
				case 2:
					set(capture.ACK, 101, 301, 0)
				case 3:
					set(capture.ACK|capture.PSH, 101, 301, 50)
				case 4:
					fromServer = true
					set(capture.ACK|capture.PSH, 301, 151, 500)
				case 5:
					set(capture.ACK|capture.FIN, 151, 801, 0)
				case 6:
					fromServer = true
					set(capture.ACK, 801, 152, 0)
				case 7:
					fromServer = true
					set(capture.ACK|capture.FIN, 801, 152, 0)
				case 8:
					set(capture.ACK, 152, 802, 0)
				}
				if fromServer {
					s.Src, s.Dst = server, client
				}
				segments = append(segments, s)
			}
		}
	}
	return segments
}

// A segment costs no allocation; a conversation costs one, for what is told of
// it, once as many were told as are kept.
func TestAllocations(t *testing.T) {
	segments := traffic(4000, 500)
	tr := capture.NewTracker(capture.TrackerOptions{MaxOpen: 1000}, func(c *tcpvet.Conversation) error { return nil })
	add := func(n int, at int64) func() {
		return func() {
			for _, s := range segments[:n] {
				at += 1000
				s.At = at
				if _, err := tr.Add(&s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	add(len(segments), 0)()
	if n := testing.AllocsPerRun(5, add(len(segments), 1e12)); n > 4000 {
		t.Errorf("%.0f allocations for 4000 conversations", n)
	}
	// Data on a connection that stays.
	open := script(t, opened)
	for i := range open {
		if _, err := tr.Add(&open[i]); err != nil {
			t.Fatal(err)
		}
	}
	data, ack := script(t, "1 > P. 101 301 len=10")[0], script(t, "1 < . 301 111")[0]
	if n := testing.AllocsPerRun(1000, func() {
		data.At += 1e6
		ack.At += 1e6
		if _, err := tr.Add(&data); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Add(&ack); err != nil {
			t.Fatal(err)
		}
		data.Seq += 10
		data.IPID++
		ack.Ack += 10
		ack.IPID++
	}); n != 0 {
		t.Errorf("%v allocations for a segment", n)
	}
}

// 100,000 conversations: a few at a time, which are told soon after, or all at
// once.
func BenchmarkTracker(b *testing.B) {
	for _, run := range []struct {
		name   string
		width  int
		linger time.Duration
	}{{"few", 10, time.Millisecond}, {"all", 100000, 0}} {
		b.Run(run.name, func(b *testing.B) {
			segments := traffic(100000, run.width)
			b.ReportAllocs()
			for b.Loop() {
				tr := capture.NewTracker(capture.TrackerOptions{Linger: run.linger}, func(*tcpvet.Conversation) error { return nil })
				for i := range segments {
					if _, err := tr.Add(&segments[i]); err != nil {
						b.Fatal(err)
					}
				}
				if err := tr.Finish(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(len(segments))/b.Elapsed().Seconds()/1e6, "Msegments/s")
		})
	}
}
