package capture_test

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// legal are the transitions that one segment can make one end take: those of
// RFC 9293 figure 5, two of them at once where one segment carries an ACK and a
// FIN, from "not seen" to where a capture begins in the middle, and back to
// LAST-ACK where the last ACK was lost. A FIN that the capture lost shows when it
// was acknowledged: from ESTAB to FIN-WAIT-2.
var legal = func() map[[2]tcpvet.State]bool {
	const none, established = tcpvet.State(0), tcpvet.Established
	m := map[[2]tcpvet.State]bool{}
	for from, to := range map[tcpvet.State][]tcpvet.State{
		none:             {tcpvet.SynSent, tcpvet.SynRecv, established, tcpvet.CloseWait, tcpvet.FinWait1, tcpvet.LastAck},
		tcpvet.SynSent:   {tcpvet.SynRecv, established, tcpvet.CloseWait, tcpvet.FinWait1, tcpvet.LastAck},
		tcpvet.SynRecv:   {established, tcpvet.CloseWait, tcpvet.FinWait1, tcpvet.FinWait2, tcpvet.LastAck},
		established:      {tcpvet.FinWait1, tcpvet.CloseWait, tcpvet.LastAck, tcpvet.FinWait2},
		tcpvet.FinWait1:  {tcpvet.FinWait2, tcpvet.Closing, tcpvet.TimeWait},
		tcpvet.FinWait2:  {tcpvet.TimeWait},
		tcpvet.Closing:   {tcpvet.TimeWait},
		tcpvet.CloseWait: {tcpvet.LastAck},
		tcpvet.TimeWait:  {},
		tcpvet.Unconn:    {tcpvet.LastAck},
		tcpvet.LastAck:   {},
	} {
		m[[2]tcpvet.State{from, from}] = true
		m[[2]tcpvet.State{from, tcpvet.Unconn}] = true
		for _, s := range to {
			m[[2]tcpvet.State{from, s}] = true
		}
	}
	return m
}()

// obeys feeds segments to a Tracker and holds it to what must be true of any.
func obeys(t interface {
	Helper()
	Errorf(string, ...any)
}, o capture.TrackerOptions, segments []capture.Segment) {
	t.Helper()
	var packets, notes uint64
	numbers := map[int]bool{}
	tr := capture.NewTracker(o, func(c *tcpvet.Conversation) error {
		packets += c.FromClient.Packets + c.FromServer.Packets
		if numbers[c.Number] {
			t.Errorf("conversation %d was told twice", c.Number)
		}
		numbers[c.Number] = true
		for _, f := range []tcpvet.Flow{c.FromClient, c.FromServer} {
			if f.SYNs > f.Packets || f.FINs > f.Packets || f.RSTs > f.Packets || f.Retransmits+f.Probes > f.Packets {
				t.Errorf("conversation %d: more of some than of all: %+v", c.Number, f)
			}
		}
		if c.Duration < 0 || c.Open.Connect != nil && *c.Open.Connect < 0 || c.Close.PassiveWait != nil && *c.Close.PassiveWait < 0 {
			t.Errorf("conversation %d: negative times", c.Number)
		}
		for _, n := range c.Notes {
			notes++
			if n.Kind == "" || n.Text == "" || n.Took < 0 || n.Certainty == tcpvet.Certain && len(n.Or) > 0 {
				t.Errorf("conversation %d: note %+v", c.Number, n)
			}
		}
		return nil
	})
	states := map[int][2]tcpvet.State{}
	for i, s := range segments {
		step, err := tr.Add(&s)
		if err != nil {
			t.Errorf("segment %d: %v", i+1, err)
		}
		before, after := [2]tcpvet.State{step.ClientBefore, step.ServerBefore}, [2]tcpvet.State{step.ClientAfter, step.ServerAfter}
		if before != states[step.Number] {
			t.Errorf("segment %d of %d begins at %v, which was left at %v", i+1, step.Number, before, states[step.Number])
		}
		states[step.Number] = after
		for end := range before {
			if !legal[[2]tcpvet.State{before[end], after[end]}] {
				t.Errorf("segment %d (%v, %v): from %v to %v", i+1, s.Flags, step.What, before[end], after[end])
			}
		}
		if stats := tr.Stats(); o.MaxOpen > 0 && stats.Open > uint64(o.MaxOpen) {
			t.Errorf("%d open, at most %d may be", stats.Open, o.MaxOpen)
		}
	}
	if err := tr.Finish(); err != nil {
		t.Errorf("%v", err)
	}
	stats := tr.Stats()
	if packets+stats.Duplicates != uint64(len(segments)) || stats.Segments != uint64(len(segments)) {
		t.Errorf("%d packets told, %d duplicates, of %d", packets, stats.Duplicates, len(segments))
	}
	if uint64(len(numbers)) != stats.Conversations {
		t.Errorf("%d told of %d", len(numbers), stats.Conversations)
	}
}

var fuzzEnds = [4]netip.AddrPort{
	netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:80"),
	netip.MustParseAddrPort("[fe80::1%eth0]:40000"), netip.MustParseAddrPort("10.0.0.1:40001"),
}

// Any segments in any order; few numbers, so that they often fit.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		segments := make([]capture.Segment, n)
		base := rapid.SampledFrom([]uint32{0, 100, math.MaxUint32 - 2, math.MaxInt32}).Draw(t, "base")
		at := int64(0)
		for i := range segments {
			at += rapid.SampledFrom([]int64{0, 1e3, 1e6, 4e7, 1e9, 2e9, 7e10, -1e9}).Draw(t, "pause")
			pair := rapid.SampledFrom([][2]int{{0, 1}, {1, 0}, {0, 1}, {1, 0}, {0, 1}, {1, 0}, {3, 1}, {1, 1}, {2, 1}}).Draw(t, "ends")
			number := rapid.Uint32Range(0, 6)
			segments[i] = capture.Segment{
				At: at, Src: fuzzEnds[pair[0]], Dst: fuzzEnds[pair[1]],
				Seq: base + number.Draw(t, "seq"), Ack: base + number.Draw(t, "ack"),
				Flags: rapid.SampledFrom([]capture.Flags{capture.SYN, capture.SYN | capture.ACK, capture.ACK, capture.ACK, capture.ACK | capture.FIN,
					capture.ACK | capture.FIN, capture.RST, capture.RST | capture.ACK, capture.SYN | capture.FIN, 0, capture.FIN}).Draw(t, "flags"),
				Window: rapid.SampledFrom([]uint16{0, 500}).Draw(t, "window"),
				Len:    rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "len"),
				IPID:   rapid.Uint16Range(0, 2).Draw(t, "id"),
				TTL:    rapid.Uint8Range(63, 64).Draw(t, "ttl"),
			}
		}
		obeys(t, capture.TrackerOptions{MaxOpen: rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "max"), Linger: 5 * time.Second}, segments)
	})
}

const fuzzSize = 24 // bytes of one segment

func fuzzSegments(data []byte) (segments []capture.Segment) {
	at := int64(0)
	for ; len(data) >= fuzzSize && len(segments) < 10000; data = data[fuzzSize:] {
		b := data[:fuzzSize]
		at += int64(int32(binary.LittleEndian.Uint32(b))) * 1000
		s := capture.Segment{
			At: at, Src: fuzzEnds[b[4]&3], Dst: fuzzEnds[b[4]>>2&3], NoSeq: b[4]&16 != 0,
			Flags: capture.Flags(b[5]), Window: uint16(b[6]), TTL: b[7],
			Seq: binary.LittleEndian.Uint32(b[8:]), Ack: binary.LittleEndian.Uint32(b[12:]),
			Len: int(binary.LittleEndian.Uint16(b[16:])), IPID: uint16(b[18]), Interface: int(b[19]),
			Options: capture.Options{Has: capture.OptionSet(b[20]), MSS: uint16(b[21]), WScale: b[22], TSVal: uint32(b[23])},
		}
		if b[4]&32 != 0 {
			s.At = int64(binary.LittleEndian.Uint64(b[8:])) // anywhere in time
			at = s.At
		}
		if b[4]&64 != 0 {
			s.Payload = []byte("HTTP/1.1 200 OK")
		}
		segments = append(segments, s)
	}
	return segments
}

func fuzzBytes(segments []capture.Segment) (data []byte) {
	at := int64(0)
	for _, s := range segments {
		b := make([]byte, fuzzSize)
		binary.LittleEndian.PutUint32(b, uint32((s.At-at)/1000))
		at = s.At
		for i, e := range fuzzEnds {
			if e == s.Src {
				b[4] |= byte(i)
			}
			if e == s.Dst {
				b[4] |= byte(i) << 2
			}
		}
		b[5], b[6], b[7] = byte(s.Flags), byte(s.Window), s.TTL
		binary.LittleEndian.PutUint32(b[8:], s.Seq)
		binary.LittleEndian.PutUint32(b[12:], s.Ack)
		binary.LittleEndian.PutUint16(b[16:], uint16(s.Len))
		b[18], b[19] = byte(s.IPID), byte(s.Interface)
		data = append(data, b...)
	}
	return data
}

func FuzzTracker(f *testing.F) {
	for _, text := range []string{fourWay, opened, fourWay + `
		2.0 > S  9000 -
		2.1 < S. 8000 9001`, opened + `
		9.00 > S  9000 -
		9.01 < .  301 101
		9.01 > R  101 - win=0
		10.0 > S  9000 -`, opened + stalls(2, 0.05, 0.001, 10), opened + `
		5.0 > . 100 301
		6.0 > . 100 301
		7.0 > R. 101 301`, `
		0 > S 100 - from=10.0.0.2:80
		0 > S. 100 101 from=10.0.0.2:80`} {
		segments := script(f, text)
		for i := range segments {
			if segments[i].Dst.Port() == 7001 {
				segments[i].Dst = fuzzEnds[1]
			}
			if segments[i].Src.Port() == 7001 {
				segments[i].Src = fuzzEnds[1]
			}
		}
		f.Add(uint8(0), fuzzBytes(segments))
	}
	f.Fuzz(func(t *testing.T, most uint8, data []byte) {
		obeys(t, capture.TrackerOptions{MaxOpen: int(most % 4)}, fuzzSegments(data))
	})
}
