package recording_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// tcpdump gives what tcpdump prints of a file.
func tcpdump(t *testing.T, file []byte, args ...string) []byte {
	t.Helper()
	c := exec.Command(kerneltest.Tool(t, "tcpdump"), append(args, "-r", "-")...)
	c.Stdin = bytes.NewReader(file)
	c.Env = append(c.Environ(), "TZ=Asia/Tokyo")
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v", c.Args, err)
	}
	return out
}

// ways are the options of tcpdump whose text is read, with what they leave.
var ways = []struct {
	args     string
	absolute bool
	clock    recording.Clock
	header   bool // TTL, TOS and the checksum are printed
}{
	{"-n", false, recording.SinceMidnight, false},
	{"-n -S", true, recording.SinceMidnight, false},
	{"-n -tt", false, recording.Since1970, false},
	{"-n -tttt -S", true, recording.Since1970, false},
	{"-n -ttt", false, recording.SinceFirst, false},
	{"-n -ttttt", false, recording.SinceFirst, false},
	{"-n -t", false, recording.NoClock, false},
	{"-n -e", false, recording.SinceMidnight, false},
	{"-n -v", false, recording.SinceMidnight, true},
	{"-n -vv -S -tt", true, recording.Since1970, true},
	{"-n -e -v -t", false, recording.NoClock, true},
	{"-n -x -S", true, recording.SinceMidnight, false},
	{"-n -A", false, recording.SinceMidnight, false},
	{"-n --nano -tt", false, recording.Since1970, false},
}

// sameAsPrinted reads a file as it is and as tcpdump prints it, in every way,
// and compares the segments.
func sameAsPrinted(t *testing.T, file []byte) {
	t.Helper()
	tokyo := time.FixedZone("", 9*3600)
	want, _ := read(t, file, recording.Options{Checksums: true})
	for _, way := range ways {
		lines := tcpdump(t, file, strings.Fields(way.args)...)
		got, r := read(t, lines, recording.Options{Zone: tokyo})
		what := "tcpdump " + way.args
		if len(got) != len(want) {
			t.Errorf("%s: %d segments of %d; %+v", what, len(got), len(want), r.Stats())
			continue
		}
		if r.Clock() != way.clock {
			t.Errorf("%s: clock %d, want %d", what, r.Clock(), way.clock)
		}
		if s := r.Stats(); !accounted(s) || s.Trouble != "" {
			t.Errorf("%s: %+v", what, s)
		}
		var offsets offsets
		if !way.absolute {
			offsets = unprinted(want)
		}
		wrong := 0
		for i := range got {
			if complaint := differs(&want[i], &got[i], &want[0], way.clock, way.header, offsets, tokyo); complaint != "" {
				t.Errorf("%s: segment %d: %s\n got %+v\nwant %+v", what, i+1, complaint, got[i], want[i])
				if wrong++; wrong > 3 {
					break
				}
			}
		}
	}
}

// offsets has the senders whose numbers tcpdump printed only relative to one
// that it did not print, with what ours are off by once that is known.
type offsets map[[2]string]*struct {
	known bool
	by    uint32
}

// unprinted finds those: the first segment with an ACK of their conversation was
// theirs, and a pure ACK.
func unprinted(segments []capture.Segment) offsets {
	o := offsets{}
	seen := map[[2]string]bool{}
	for _, s := range segments {
		to, back := [2]string{s.Src.String(), s.Dst.String()}, [2]string{s.Dst.String(), s.Src.String()}
		if !s.Flags.Has(capture.ACK) {
			continue
		}
		if s.Flags.Has(capture.SYN) {
			delete(o, to)
			delete(o, back)
		} else if !seen[to] && s.Len == 0 && !s.Flags.Any(capture.SYN|capture.FIN|capture.RST) {
			o[to] = new(struct {
				known bool
				by    uint32
			})
		}
		seen[to], seen[back] = true, true
	}
	return o
}

// off tells whether two numbers that count what a sender sends are the same, or
// as far from each other as those before.
func (o offsets) off(from, to string, want, got uint32) bool {
	k := o[[2]string{from, to}]
	if k == nil {
		return want != got
	}
	if !k.known {
		k.known, k.by = true, want-got
	}
	return want-got != k.by
}

// differs says in what the printed segment differs from the true one.
func differs(want, got, first *capture.Segment, clock recording.Clock, header bool, o offsets, zone *time.Location) string {
	var at int64
	switch clock {
	case recording.Since1970:
		at = want.At
	case recording.SinceFirst:
		at = want.At - first.At
	case recording.SinceMidnight:
		year, month, day := time.Unix(0, first.At).In(zone).Date()
		at = want.At - time.Date(year, month, day, 0, 0, 0, 0, zone).UnixNano()
	}
	src, dst := want.Src.String(), want.Dst.String()
	pure := want.Len == 0 && !want.Flags.Any(capture.SYN|capture.FIN|capture.RST)
	switch {
	case got.Frame != want.Frame:
		return "frame"
	case got.At != at:
		return fmt.Sprintf("time: want %d", at)
	case got.Src != want.Src || got.Dst != want.Dst:
		return "ends"
	case got.Flags != want.Flags || got.Window != want.Window || got.Len != want.Len:
		return "flags, window or length"
	case want.Flags.Has(capture.URG) && got.Urgent != want.Urgent:
		return "urgent"
	case got.NoSeq && !pure && !(o[[2]string{src, dst}] != nil && !want.Flags.Has(capture.ACK)):
		return "no sequence number, though one was printed"
	case !got.NoSeq && o.off(src, dst, want.Seq, got.Seq):
		return "sequence number"
	case want.Flags.Has(capture.ACK) && o.off(dst, src, want.Ack, got.Ack):
		return "acknowledgment"
	case got.Options.Has != want.Options.Has || got.Options.NumSACK != want.Options.NumSACK ||
		got.Options.MSS != want.Options.MSS || got.Options.WScale != want.Options.WScale ||
		got.Options.TSVal != want.Options.TSVal || got.Options.TSEcr != want.Options.TSEcr:
		return "options"
	case got.Cut != want.Cut:
		return "cut"
	case header && (got.TTL != want.TTL || got.TOS != want.TOS || got.IPID != want.IPID || got.Checksum != want.Checksum):
		return "header"
	}
	for i := range want.Options.NumSACK {
		w, g := want.Options.SACK[i], got.Options.SACK[i]
		if o.off(dst, src, w.Left, g.Left) || o.off(dst, src, w.Right, g.Right) {
			return "SACK"
		}
	}
	return ""
}

// What tcpdump prints of every capture reads as the capture itself.
func TestTextIsTheCapture(t *testing.T) {
	for _, name := range captures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			link, packets := recorded(t, name)
			sameAsPrinted(t, pcapFile(binary.LittleEndian, 0xa1b2c3d4, link, packets))
		})
	}
}

// Sequence numbers that were not printed are those that were sent: pure ACKs
// have what their sender sends next, but for probes.
func TestUnprintedSequenceNumbers(t *testing.T) {
	for name, probes := range map[string]int{"teardown_4pkt.pcap": 0, "close_wait_leak.pcap": 0, "nagle_delayed_ack.pcap": 0, "half_close_data.pcap": 0} {
		link, packets := recorded(t, name)
		file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, link, packets)
		want, _ := read(t, file, recording.Options{})
		for _, args := range []string{"-n", "-nS"} {
			got, _ := read(t, tcpdump(t, file, args), recording.Options{})
			wrong, unprinted := 0, 0
			for i := range got {
				if got[i].NoSeq {
					unprinted++
				}
				if got[i].Seq != want[i].Seq {
					wrong++
				}
			}
			if wrong != probes || unprinted < 3 {
				t.Errorf("%s: %d of %d numbers are wrong, want %d", name, wrong, unprinted, probes)
			}
		}
	}
}

// Conversations of every kind at once, with numbers that wrap, blocks of SACK,
// every flag, and beginnings in the middle, read from text as from the file.
func TestTextOfRandomSegments(t *testing.T) {
	for seed := range uint64(6) {
		sameAsPrinted(t, randomCapture(seed, 400))
	}
}

// A tuple that is used again has new bases after its SYN-ACK, and the old ones
// until then.
func TestTextOfReusedTuples(t *testing.T) {
	var packets []packet
	add := func(reverse bool, flags capture.Flags, seq, ack uint32, length int) {
		packets = append(packets, packet{int64(1795528532)*1e9 + int64(len(packets)*10+len(packets)%3*3)*1e8, segment(6, 1, reverse, flags, seq, ack, length, nil), 0})
		packets[len(packets)-1].wire = len(packets[len(packets)-1].data)
	}
	for i := range uint32(3) {
		c, s := 0xfffffff0+i*0x10000000, 0x80000000-i*0x20000000
		add(false, capture.SYN, c, 0, 0)
		if i == 1 { // refused, and tried again
			add(true, capture.RST|capture.ACK, 0, c+1, 0)
			c += 70000
			add(false, capture.SYN, c, 0, 0)
		}
		add(true, capture.SYN|capture.ACK, s, c+1, 0)
		add(false, capture.ACK, c+1, s+1, 0)
		add(false, capture.ACK|capture.PSH, c+1, s+1, 100)
		add(true, capture.ACK|capture.FIN, s+1, c+101, 0)
		add(false, capture.RST, c+101, 0, 0)
	}
	sameAsPrinted(t, pcapFile(binary.LittleEndian, 0xa1b2c3d4, 1, packets))
}
