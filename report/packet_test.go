package report

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// untilLength is the part of a line that tcpdump prints too.
var untilLength = regexp.MustCompile(`^.*?, length \d+`)

// tcpdump gives the lines that the real one prints of the TCP packets of a
// recording, up to their length.
func tcpdump(t *testing.T, file []byte, args ...string) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(name, file, 0o644); err != nil { // root's tcpdump reads as another user
		t.Fatal(err)
	}
	c := exec.Command(kerneltest.Tool(t, "tcpdump"), append([]string{"-n", "-r", name}, append(args, "tcp")...)...)
	c.Env = append(os.Environ(), "TZ=UTC")
	var complaints strings.Builder
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, complaints.String())
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		lines = append(lines, untilLength.FindString(line))
	}
	return lines
}

func packetLines(t *testing.T, file []byte, o PacketOptions) []string {
	t.Helper()
	var lines []string
	p := NewPackets(o)
	follow(t, file, "", func(r *recording.Reader, s *capture.Segment, step capture.Step) {
		p.opt.Dated = r.Dated()
		lines = append(lines, strings.TrimSuffix(string(p.Append(nil, s, step)), "\n"))
	})
	return lines
}

func compareLines(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%d lines, tcpdump prints %d", len(got), len(want))
	}
	for i := range got {
		if line := untilLength.FindString(got[i]); line != want[i] {
			t.Errorf("line %d\n is %s\ntcpdump prints\n    %s", i+1, line, want[i])
		}
	}
}

func TestPacketsAsTcpdump(t *testing.T) {
	for _, name := range recordings(t, ".pcap", 18) {
		file := recorded(t, name)
		t.Run(name, func(t *testing.T) {
			compareLines(t, packetLines(t, file, PacketOptions{}), tcpdump(t, file))
			compareLines(t, packetLines(t, file, PacketOptions{Absolute: true, Time: TimeEpoch}), tcpdump(t, file, "-S", "-tt"))
			compareLines(t, packetLines(t, file, PacketOptions{Time: TimeDate}), tcpdump(t, file, "-tttt"))
			compareLines(t, packetLines(t, file, PacketOptions{Time: TimeNone}), tcpdump(t, file, "-t"))
		})
	}
}

// madePacket is a raw IPv4 or IPv6 packet from that port to port 80, or back.
func madePacket(six, back bool, port uint16, seq, ack uint32, flags uint16, options, payload []byte) []byte {
	be := binary.BigEndian
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	from, to := byte(1), byte(2)
	ports := [2]uint16{port, 80}
	if back {
		from, to, ports = to, from, [2]uint16{80, port}
	}
	tcp := be.AppendUint16(be.AppendUint16(nil, ports[0]), ports[1])
	tcp = be.AppendUint32(be.AppendUint32(tcp, seq), ack)
	tcp = be.AppendUint16(tcp, uint16(5+len(options)/4)<<12|flags)
	tcp = be.AppendUint16(tcp, 502)
	tcp = append(append(append(tcp, 0, 0, 0, 7), options...), payload...)
	if six {
		ip := be.AppendUint32(nil, 0x60000000)
		ip = append(be.AppendUint16(ip, uint16(len(tcp))), 6, 64)
		for _, host := range []byte{from, to} {
			ip = append(ip, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host)
		}
		return append(ip, tcp...)
	}
	ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, from, 10, 0, 0, to}
	be.PutUint16(ip[2:], uint16(20+len(tcp)))
	return append(ip, tcp...)
}

// rawFile makes a pcap file of raw IP packets, one a second.
func rawFile(t *testing.T, packets ...[]byte) []byte {
	t.Helper()
	var b strings.Builder
	w, err := recording.NewWriter(&b, capture.Raw, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		if err := w.Write(int64(1763992985+i)*1e9+123456000, p, len(p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// Options that captures seldom have, every flag but AE, which tcpdump 4.99.3
// does not know, and IPv6.
func TestPacketOptionsAsTcpdump(t *testing.T) {
	var packets [][]byte
	for _, options := range [][]byte{
		{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, {0}, {2, 4, 5, 180}, {3, 3, 7}, {4, 2}, {5, 10, 0, 0, 7, 209, 0, 0, 7, 219},
		{5, 18, 0, 0, 7, 209, 0, 0, 7, 219, 0, 0, 7, 229, 0, 0, 7, 239}, {34, 2}, {34, 10, 1, 2, 3, 4, 5, 6, 7, 8}, {254, 4, 0xf9, 0x89}, {254, 8, 0xf9, 0x89, 1, 2, 3, 4},
		{253, 4, 1, 2}, {99, 6, 1, 2, 3, 4}, {99, 2}, {9, 2}, {69, 2, 1, 1}, {172, 4, 1, 2},
	} {
		packets = append(packets, madePacket(false, false, 40000, 1000, 2000, 0x10, options, nil))
	}
	for flags := range uint16(256) {
		packets = append(packets, madePacket(flags%2 == 0, flags%3 == 0, 50000+flags, 1000, 2000, flags, nil, make([]byte, flags%4)))
	}
	file := rawFile(t, packets...)
	compareLines(t, packetLines(t, file, PacketOptions{}), tcpdump(t, file))
	compareLines(t, packetLines(t, file, PacketOptions{Absolute: true}), tcpdump(t, file, "-S"))
}

func TestPacketTimes(t *testing.T) {
	zone := time.FixedZone("", -90*60)
	for _, x := range []struct {
		at   int64
		o    PacketOptions
		want string
	}{
		{1763992985123456789, PacketOptions{Dated: true}, "14:03:05.123456 "},
		{1763992985123456789, PacketOptions{Dated: true, Zone: zone}, "12:33:05.123456 "},
		{1763992985123456789, PacketOptions{Dated: true, Zone: zone, Time: TimeDate}, "2025-11-24 12:33:05.123456 "},
		{1763992985003456789, PacketOptions{Dated: true, Zone: zone, Time: TimeEpoch}, "1763992985.003456 "},
		{-1500000000, PacketOptions{Time: TimeEpoch}, "-1.500000 "},
		{-1 << 63, PacketOptions{Time: TimeEpoch}, "-9223372036.854775 "},
		{83594956630000, PacketOptions{Zone: zone}, "23:13:14.956630 "}, // since midnight, wherever that was
		{0, PacketOptions{Time: TimeNone}, ""},
	} {
		if got := string(NewPackets(x.o).appendTime(nil, x.at)); got != x.want {
			t.Errorf("%d is printed as %q, want %q", x.at, got, x.want)
		}
	}
}

// The names are those of RFC 9293 section 3.1; the values are those that the
// packet was made of. Its checksum was left 0.
func TestPacketWide(t *testing.T) {
	options := []byte{2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 99, 3, 1, 1}
	file := rawFile(t, madePacket(false, false, 40000, 4294967295, 17, 0xb42, options, []byte("ab")))
	lines := strings.Split(packetLines(t, file, PacketOptions{Wide: true})[0], "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	want := []string{
		"source port 40000", "destination port 80", "sequence number 4294967295", "acknowledgment number 17, means nothing without ACK",
		"data offset 11 words, 44 bytes of header", "reserved 5", "control bits AE 1 CWR 0 ECE 1 URG 0 ACK 0 PSH 0 RST 0 SYN 1 FIN 0", "window 502", "checksum 0x0000, wrong",
		"urgent pointer 7, means nothing without URG", "option mss 1460: maximum segment size", "option nop: no-operation", "option wscale 7: window scale",
		"option sackOK: SACK permitted", "option TS val 9 ecr 0: timestamps", "option unknown-99 0x01: kind 99", "option nop: no-operation", "data 2 bytes",
	}
	if got := strings.Join(lines[1:], "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// Each line says where it led: the article's four-segment close.
func TestPacketChanges(t *testing.T) {
	var got []string
	for _, line := range packetLines(t, recorded(t, "article-close-4.txt"), PacketOptions{Absolute: true}) {
		got = append(got, line[strings.Index(line, "  #"):])
	}
	want := []string{
		"  #1 client -> FIN-WAIT-1, server -> ESTAB",
		"  #1 client FIN-WAIT-1 -> FIN-WAIT-2, server ESTAB -> CLOSE-WAIT",
		"  #1 server CLOSE-WAIT -> LAST-ACK",
		"  #1 client FIN-WAIT-2 -> TIME-WAIT, server LAST-ACK -> CLOSED",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What is printed can be read again: the same segments, and the same
// conversations.
func TestPacketsAreText(t *testing.T) {
	for _, name := range append(recordings(t, ".pcap", 18), recordings(t, ".txt", 4)...) {
		if name == "truth.txt" {
			continue
		}
		lines := packetLines(t, recorded(t, name), PacketOptions{Absolute: true})
		again := packetLines(t, []byte(strings.Join(lines, "\n")+"\n"), PacketOptions{Absolute: true})
		for i := range lines {
			if i >= len(again) || untilLength.FindString(strings.ReplaceAll(lines[i], "nop,", "")) != untilLength.FindString(strings.ReplaceAll(again[i], "nop,", "")) {
				t.Errorf("%s: line %d is read as another one:\n%s\n%q", name, i+1, lines[i], again[min(i, len(again)-1)])
				break
			}
		}
	}
}

// The conversations whose base was given up are told relative to what the
// tracker says.
func TestPacketBasesAreBounded(t *testing.T) {
	p := NewPackets(PacketOptions{})
	s := capture.Segment{Seq: 500, Ack: 700, Flags: capture.ACK}
	step := capture.Step{From: tcpvet.ClientEnd, SeqBase: 400, AckBase: 600}
	for n := 1; n <= maxBases+10; n++ {
		step.Number = n
		if from, to := p.relativeTo(&s, &step); from != 0 || to != 0 {
			t.Fatalf("the first ACK of conversation %d is relative to %d and %d", n, from, to)
		}
		if len(p.bases.of) > maxBases {
			t.Fatalf("%d are remembered", len(p.bases.of))
		}
	}
	for n, want := range map[int][2]uint32{1: {400, 600}, maxBases: {400, 600}, maxBases + 1: {500, 699}, maxBases + 10: {500, 699}} {
		step.Number = n
		if from, to := p.relativeTo(&s, &step); from != want[0] || to != want[1] {
			t.Errorf("conversation %d is relative to %d and %d, want %d", n, from, to, want)
		}
	}
}

// Whatever the packet, it gets one line, or its block, that a terminal can
// show, a ladder and a picture.
func FuzzPacket(f *testing.F) {
	f.Add(madePacket(false, false, 40000, 1000, 2000, 0x12, []byte{2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, nil), 0)
	f.Fuzz(func(t *testing.T, packet []byte, more int) {
		var s capture.Segment
		d := capture.Decoder{Checksums: true}
		if d.Decode(capture.Raw, packet, len(packet)+max(more, 0)%2000, &s) != capture.IsTCP {
			return
		}
		s.At = int64(more)
		var told *tcpvet.Conversation
		tracker := capture.NewTracker(capture.TrackerOptions{}, func(c *tcpvet.Conversation) error { told = c; return nil })
		step, err := tracker.Add(&s)
		if err != nil {
			t.Fatal(err)
		}
		if err := tracker.Finish(); err != nil || told == nil {
			t.Fatalf("no conversation; %v", err)
		}
		for _, o := range []PacketOptions{{}, {Absolute: true, Time: TimeEpoch}, {Wide: true, Time: TimeDate, Dated: true}} {
			text := string(NewPackets(o).Append(nil, &s, step))
			if !o.Wide && strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
				t.Errorf("printed %q", text)
			}
			if i := strings.IndexFunc(text, func(r rune) bool { return (r < ' ' || r > '~') && r != '\n' }); i >= 0 {
				t.Errorf("a character at %d of %q", i, text)
			}
		}
		lines := []LadderLine{LadderLineOf(&s, step)}
		if text := ladderText(t, told, lines, LadderOptions{}); len(drawn(text)) != 1 {
			t.Errorf("drawn as %q", text)
		}
		shapes(t, svgOf(t, told, lines, SVGOptions{}))
	})
}

func TestPacketsAllocateNothing(t *testing.T) {
	p := NewPackets(PacketOptions{Dated: true, Wide: true})
	buf := make([]byte, 0, 8192)
	follow(t, recorded(t, "teardown_4pkt.pcap"), "", func(_ *recording.Reader, s *capture.Segment, step capture.Step) {
		step.What &^= remarkable // whose words are gathered
		if n := testing.AllocsPerRun(100, func() { p.Append(buf, s, step) }); n != 0 {
			t.Errorf("%v allocations for a line", n)
		}
	})
}
