package recording_test

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
)

func at(host string, port uint16) netip.AddrPort {
	a, err := netip.ParseAddr(host)
	if err != nil {
		a = tcpvet.NamedHost(host)
	}
	return netip.AddrPortFrom(a, port)
}

// The excerpts of the article read as they stand, and so they do among prose, a
// prompt and what tcpdump says when it begins and ends.
func TestExcerpts(t *testing.T) {
	for _, test := range []struct {
		file       string
		client     netip.AddrPort
		server     netip.AddrPort
		times      []int64 // microseconds since midnight
		seqs, acks []uint32
		flags      []capture.Flags
		last       capture.Options
	}{
		{
			"article-handshake.txt", at("192.168.1.10", 945), at("192.168.1.141", 2049),
			[]int64{27426157597, 27426157660, 27426158889},
			[]uint32{2084759064, 2467243379, 2084759065}, []uint32{0, 2084759065, 2467243380},
			[]capture.Flags{capture.SYN, capture.SYN | capture.ACK, capture.ACK},
			capture.Options{TSVal: 223408, TSEcr: 91684817},
		},
		{
			"article-close-4.txt", at("localhost", 45788), at("localhost", 22),
			[]int64{83594956630, 83594956738, 83594959316, 83594959328},
			[]uint32{3349160669, 377690074, 377690074, 3349160670}, []uint32{377690074, 3349160670, 3349160670, 377690075},
			[]capture.Flags{capture.FIN | capture.ACK, capture.ACK, capture.FIN | capture.ACK, capture.ACK},
			capture.Options{TSVal: 1927015002, TSEcr: 1927015002},
		},
		{
			"article-close-3.txt", at("192.168.1.10", 32823), at("192.168.1.141", 9090),
			[]int64{41693378185, 41693378331, 41693379595},
			[]uint32{187740589, 2824594749, 187740590}, []uint32{2824594749, 187740590, 2824594750},
			[]capture.Flags{capture.FIN | capture.ACK, capture.FIN | capture.ACK, capture.ACK},
			capture.Options{TSVal: 79322, TSEcr: 92904590},
		},
	} {
		plain, err := os.ReadFile(filepath.Join(testdata, test.file))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimRight(string(plain), "\n"), "\n")
		prose := "下面是抓包结果：\r\n$ sudo tcpdump -S -i eth0 port 9090\r\n" +
			"tcpdump: verbose output suppressed, use -v[v]... for full protocol decode\r\n" +
			"listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\r\n    " +
			strings.Join(lines, "\r\n\t0x0000:  4500 003c 7c97 4000\r\n\r\n    ") +
			"\r\n3 packets captured\r\n7 packets received by filter\r\n0 packets dropped by kernel\r\nNote that 1 > 0: the ACK."
		for way, text := range map[string]string{"plain": string(plain), "without a last newline": strings.Join(lines, "\n"), "prose": prose} {
			got, r := read(t, []byte(text), recording.Options{})
			if len(got) != len(test.times) {
				t.Errorf("%s, %s: %d segments", test.file, way, len(got))
				continue
			}
			if r.Clock() != recording.SinceMidnight || r.Dated() || r.Format() != "tcpdump text" || !accounted(r.Stats()) {
				t.Errorf("%s, %s: %s, clock %d, %+v", test.file, way, r.Format(), r.Clock(), r.Stats())
			}
			// Hex and the empty line behind each but the last, and 4 + 4 of the rest.
			if n := r.Stats().Lines; way == "prose" && n != uint64(8+2*(len(lines)-1)) {
				t.Errorf("%s: %d lines were passed over", test.file, n)
			}
			for i, s := range got {
				src, dst := test.client, test.server
				if s.Src == test.server {
					src, dst = dst, src
				}
				if s.Src != src || s.Dst != dst || s.At != test.times[i]*1000 || s.Seq != test.seqs[i] || s.Ack != test.acks[i] || s.Flags != test.flags[i] {
					t.Errorf("%s, %s: segment %d: %+v", test.file, way, i+1, s)
				}
			}
			if o := got[len(got)-1].Options; o.Has != capture.HasTimestamps || o.TSVal != test.last.TSVal || o.TSEcr != test.last.TSEcr {
				t.Errorf("%s, %s: options %+v", test.file, way, o)
			}
		}
	}
}

// Options of the first SYN of the article.
func TestExcerptOptions(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(testdata, "article-handshake.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := read(t, b, recording.Options{})
	for i, scale := range []uint8{2, 7} {
		o := got[i].Options
		if want := capture.HasMSS | capture.HasWScale | capture.HasSACKPermitted | capture.HasTimestamps; o.Has != want || o.MSS != 1460 || o.WScale != scale {
			t.Errorf("segment %d: %+v", i+1, o)
		}
	}
}

// Each line is what it is.
func TestLines(t *testing.T) {
	const clock = "13:00:00.000001 "
	tcp := func(ends, rest string) string { return clock + "IP " + ends + ": Flags " + rest }
	for _, test := range []struct {
		line  string
		want  capture.Verdict
		prose bool // it tells no packet
		check func(s *capture.Segment) bool
	}{
		{line: tcp("web-1.example.org.https > db_2.54321", "[P.], seq 5:15, ack 7, win 9, length 10: HTTP: GET / HTTP/1.1"), check: func(s *capture.Segment) bool {
			return s.Src == at("web-1.example.org", 443) && s.Dst == at("db_2", 54321) && s.Len == 10 && s.Seq == 5 && s.Ack == 7 && s.Window == 9
		}},
		{line: clock + "IP6 ::1.45788 > fe80::1.80: Flags [FSRP.UEWe], seq 1, ack 2, win 3, urg 4, length 0", check: func(s *capture.Segment) bool {
			return s.Src == at("::1", 45788) && s.Dst == at("fe80::1", 80) && s.Flags == 0x1ff && s.Urgent == 4
		}},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[none], win 3, length 0"), check: func(s *capture.Segment) bool { return s.Flags == 0 && s.NoSeq }},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], ack 1, win 3, options [nop,md5 can't check - 00,sack 2 {5:9}{11:12},unknown-30 0x1[x],eol], length 0"), check: func(s *capture.Segment) bool {
			return s.Options.NumSACK == 2 && s.Options.Has == capture.HasSACK && s.Options.SACK[1] == capture.Block{Left: 11, Right: 12}
		}},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[S], seq 0, win 65535, options [mss 65535,wscale 14,tfo  cookiereq,nop,nop], length 0"), check: func(s *capture.Segment) bool {
			return s.Options.Has == capture.HasMSS|capture.HasWScale|capture.HasFastOpen && s.Options.MSS == 65535 && s.Options.WScale == 14
		}},
		{line: clock + "lo    In  IP 1.2.3.4.5 > 6.7.8.9.10: Flags [.], ack 1, win 3, length 0", check: func(s *capture.Segment) bool { return s.Interface == 1 }},
		{line: clock + "IP truncated-ip - 3 bytes missing! 1.2.3.4.5 > 6.7.8.9.10: Flags [P.], seq 1:5, ack 1, win 3, length 4", check: func(s *capture.Segment) bool { return s.Len == 4 }},
		{line: clock + "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 802.1Q (0x8100), length 78: vlan 5, p 0, ethertype IPv4 (0x0800), 1.2.3.4.5 > 6.7.8.9.10: Flags [.], ack 1, win 3, length 0",
			check: func(s *capture.Segment) bool { return s.Src == at("1.2.3.4", 5) }},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], seq 1:1449, ack 1, win 63, options [nop,nop,TS [|tcp]>"), check: func(s *capture.Segment) bool {
			return s.Cut && s.Len == 1448 && s.Options.Has == 0
		}},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], ack 1, win 63, options [nop,nop,TS val 5 ecr 6"), want: capture.Malformed},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], ack 1"), want: capture.Short},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], win 5, length 0"), want: capture.Short},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[x], ack 1, win 5, length 0"), want: capture.Malformed},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], ack 4294967296, win 5, length 0"), want: capture.Malformed},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], ack 1, win 65536, length 0"), want: capture.Malformed},
		{line: tcp("1.2.3.4.5 > 6.7.8.9.10", "[.], ack 1, win 5, length 99999999999"), want: capture.Malformed},
		{line: tcp("1.2.3.4.no-such-service > 6.7.8.9.10", "[.], ack 1, win 5, length 0"), want: capture.Malformed},
		{line: tcp("1.2.3.4.65536 > 6.7.8.9.10", "[.], ack 1, win 5, length 0"), want: capture.Malformed},
		{line: tcp("host!.5 > 6.7.8.9.10", "[.], ack 1, win 5, length 0"), want: capture.Malformed},
		{line: clock + "IP 1.2.3.4.5 > 6.7.8.9.10:  [|tcp]", want: capture.Short},
		{line: clock + "IP 1.2.3.4.5 > 6.7.8.9.10: tcp 20 [bad hdr length 16 - too short, < 20]", want: capture.Malformed},
		{line: clock + "IP 1.2.3.4 > 6.7.8.9: tcp", want: capture.LaterFragment},
		{line: clock + "IP 1.2.3.4.53 > 6.7.8.9.4000: 1234 1/0/0 A 9.9.9.9 (44)", want: capture.NotTCP},
		{line: clock + "ARP, Request who-has 10.9.0.2 tell 10.9.0.1, length 28", want: capture.NotTCP},
		{line: clock + "STP 802.1d, Config, Flags [none], bridge-id 8000.02, length 35", want: capture.NotTCP},
		{line: clock + "INFO the server > the client", want: capture.NotTCP}, // a log that looks like it
		{line: clock + "INFO starting", prose: true},
		{line: "IP addresses are names", prose: true},
		{line: "see 1.2.3.4.5 > 6.7.8.9.10: Flags [.], ack 1, win 5, length 0", prose: true},
		{line: "25:61:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [.], ack 1, win 5, length 0", prose: true},
		{line: "\t0x0010:  c0a8 010a c0a8 018d 0801 03b1 ...", prose: true},
	} {
		// A sound line first, of which all that follows is told apart.
		first := clock + "IP 9.9.9.9.9 > 8.8.8.8.8: Flags [S], seq 1, win 2, length 0\n"
		got, r, err := readAll([]byte(first+test.line+"\n"), recording.Options{})
		if err != nil {
			t.Errorf("%q: %v", test.line, err)
			continue
		}
		s := r.Stats()
		want := recording.Stats{Packets: 2, TCP: 1, Trouble: s.Trouble}
		switch {
		case test.prose:
			want.Packets, want.Lines = 1, 1
		case test.want == capture.IsTCP:
			want.TCP = 2
		case test.want == capture.NotTCP:
			want.Other = 1
		case test.want == capture.Short:
			want.Short = 1
		case test.want == capture.Malformed:
			want.Malformed = 1
		case test.want == capture.LaterFragment:
			want.Fragments = 1
		}
		if s != want {
			t.Errorf("%q: %+v", test.line, s)
		} else if test.check != nil && !test.check(&got[1]) {
			t.Errorf("%q: %+v", test.line, got[1])
		}
	}
}

// What one cannot read is told of, with its line and what to do.
func TestTextTrouble(t *testing.T) {
	const sound = "13:00:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n"
	for _, test := range []struct{ text, says string }{
		{sound + "13:00:00.000002 IP 1.2.3.4.blub > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n", `line 2: port "blub" is neither`},
		{sound + "1795528532.000002 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n", "line 2: its time is of another kind"},
		{sound + "13:00:00.000002 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [S], something\n", "line 2: it is not as tcpdump prints"},
	} {
		_, r := read(t, []byte(test.text), recording.Options{})
		if s := r.Stats(); !strings.Contains(s.Trouble, test.says) || s.Malformed != 1 {
			t.Errorf("%+v, want %q", s, test.says)
		}
	}
	services := func(name string) (uint16, bool) { return 4711, name == "blub" }
	got, _ := read(t, []byte("13:00:00.000002 IP 1.2.3.4.blub > 6.7.8.9.ssh: Flags [S], seq 1, win 2, length 0\n"), recording.Options{Services: services})
	if len(got) != 1 || got[0].Src.Port() != 4711 || got[0].Dst.Port() != 22 {
		t.Errorf("%+v", got)
	}
}

// A text that cannot be followed at all ends with an error that says why; one
// that was cut inside of a packet's line says so.
func TestTextEnds(t *testing.T) {
	const sound = "13:00:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n"
	for _, test := range []struct {
		text string
		is   error
		says string
	}{
		{"13:00:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: tcp 0\n", nil, "-q"},
		{"nothing\nto see\n", recording.ErrNoPacket, "line 2"},
		{sound + sound[:60], io.ErrUnexpectedEOF, "line 2, after 1 packets"},
		{sound + "13:00:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [.], ack", io.ErrUnexpectedEOF, "line 2"},
		{sound + "and so on", nil, ""},
		{sound + "13:00:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: tcp 0\n", nil, ""}, // it does follow one
	} {
		_, _, err := readAll([]byte(test.text), recording.Options{})
		var cut *recording.CutError
		switch {
		case test.says == "" && err != nil:
			t.Errorf("%q: %v", test.text, err)
		case test.says != "" && (!errors.As(err, &cut) || cut.Line == 0 || !strings.Contains(err.Error(), test.says) || test.is != nil && !errors.Is(err, test.is)):
			t.Errorf("%q: %v", test.text, err)
		}
	}
}

// Lines without end take no memory, and what follows them is read.
func TestLongLines(t *testing.T) {
	const sound = "13:00:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0"
	long := strings.Repeat("long ", 1<<20)
	got, r := read(t, []byte(long+"\n"+sound+": "+long+"\n"+sound+"\n"+long), recording.Options{})
	if s := r.Stats(); len(got) != 2 || s.Lines != 2 {
		t.Errorf("%d segments, %+v", len(got), s)
	}
}

// Midnight passes.
func TestMidnight(t *testing.T) {
	line := func(clock string) string {
		return clock + " IP 1.2.3.4.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n"
	}
	// The third was captured a little earlier than the second, on another CPU.
	got, _ := read(t, []byte(line("23:59:59.999999")+line("00:00:00.000002")+line("00:00:00.000001")+line("23:00:00.000000")+line("00:30:00.000000")), recording.Options{})
	const day = 24 * int64(time.Hour)
	want := []int64{day - 1000, day + 2000, day + 1000, 2*day - int64(time.Hour), 2*day + int64(time.Hour)/2}
	for i, s := range got {
		if s.At != want[i] {
			t.Errorf("line %d: %d, want %d", i+1, s.At, want[i])
		}
	}
}

// A pipe gives its first packet before its end comes.
func TestPipe(t *testing.T) {
	in, out := io.Pipe()
	go func() {
		out.Write([]byte("tcpdump: listening on lo\n13:00:00.000001 IP 1.2.3.4.5 > 6.7.8.9.10: Flags [S], seq 1, win 2, length 0\n"))
	}()
	r, err := recording.Open(in, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var s capture.Segment
	if err := r.Next(&s); err != nil || s.Seq != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	in.Close()
}
