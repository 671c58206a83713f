package procfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tcpvet/tcpvet"
)

const (
	header4 = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     "
	header6 = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
)

// words prints an address as the kernel does: 32-bit words in the order of the
// machine.
func words(a netip.Addr) string {
	var s strings.Builder
	for b := a.AsSlice(); len(b) > 0; b = b[4:] {
		fmt.Fprintf(&s, "%08X", binary.NativeEndian.Uint32(b))
	}
	return s.String()
}

// kernelLine prints a socket by the format of get_tcp4_sock in
// net/ipv4/tcp_ipv4.c.
func kernelLine(local, remote netip.AddrPort, state, tx, rx, timer int, when uint64, retransmits, uid, probes int, inode uint64) string {
	return fmt.Sprintf("%4d: %s:%04X %s:%04X %02X %08X:%08X %02X:%08X %08X %5d %8d %d 1 00000000ece29280 20 4 30 10 -1",
		0, words(local.Addr()), local.Port(), words(remote.Addr()), remote.Port(), state, tx, rx, timer, when, retransmits, uid, probes, inode)
}

func TestDecodeNetTCP(t *testing.T) {
	a, b := netip.MustParseAddrPort("127.0.0.1:2024"), netip.MustParseAddrPort("10.0.3.7:60999")
	six, mapped := netip.MustParseAddrPort("[2001:db8::7:1]:443"), netip.MustParseAddrPort("[::ffff:10.9.0.1]:32768")
	const (
		common = tcpvet.FactInode | tcpvet.FactMini | tcpvet.FactTimer
		all    = common | tcpvet.FactQueues | tcpvet.FactUID
	)
	for _, test := range []struct {
		name, line string
		want       tcpvet.Socket
	}{
		{"listener with 3 waiting", kernelLine(a, netip.MustParseAddrPort("0.0.0.0:0"), 10, 0, 3, 0, 0, 0, 0, 0, 632),
			tcpvet.Socket{Known: common | tcpvet.FactBacklog | tcpvet.FactUID, State: tcpvet.Listen, Local: a,
				Remote: netip.MustParseAddrPort("0.0.0.0:0"), RecvQ: 3, Inode: 632}},
		{"keepalive in 14.99 s, 2 probes unanswered", kernelLine(a, b, 1, 0, 0, 2, 1499, 0, 1000, 2, 7001),
			tcpvet.Socket{Known: all, State: tcpvet.Established, Local: a, Remote: b, UID: 1000, Inode: 7001,
				Timer: tcpvet.Timer{Kind: tcpvet.TimerKeepalive, Expires: 14990 * time.Millisecond, Retransmits: 2}}},
		{"4 retransmissions, the probes column does not count", kernelLine(a, b, 1, 1000, 16, 1, 312, 4, 33, 9, 1<<33),
			tcpvet.Socket{Known: all, State: tcpvet.Established, Local: a, Remote: b, UID: 33, Inode: 1 << 33, SendQ: 1000, RecvQ: 16,
				Timer: tcpvet.Timer{Kind: tcpvet.TimerOn, Expires: 3120 * time.Millisecond, Retransmits: 4}}},
		{"close-wait never read", kernelLine(mapped, six, 8, 0, 1, 0, 0, 0, 0, 0, 12),
			tcpvet.Socket{Known: all, State: tcpvet.CloseWait, Local: mapped, Remote: six, RecvQ: 1, Inode: 12}},
		{"time-wait", "  12: 0100007F:C001 0100007F:0050 06 00000000:00000000 03:00001234 00000000     0        0 0 3 000000001de4b3ad",
			tcpvet.Socket{Known: common | tcpvet.FactQueues, State: tcpvet.TimeWait, Mini: true,
				Local: netip.MustParseAddrPort("127.0.0.1:49153"), Remote: netip.MustParseAddrPort("127.0.0.1:80"),
				Timer: tcpvet.Timer{Kind: tcpvet.TimerTimeWait, Expires: 0x1234 * 10 * time.Millisecond}}},
		{"fin-wait-2 that nobody holds", kernelLine(a, b, 5, 0, 0, 3, 100, 0, 0, 0, 0),
			tcpvet.Socket{Known: common | tcpvet.FactQueues, State: tcpvet.FinWait2, Mini: true, Local: a, Remote: b,
				Timer: tcpvet.Timer{Kind: tcpvet.TimerTimeWait, Expires: time.Second}}},
		{"fin-wait-2 that is held", kernelLine(a, b, 5, 0, 0, 0, 0, 0, 0, 0, 8),
			tcpvet.Socket{Known: all, State: tcpvet.FinWait2, Local: a, Remote: b, Inode: 8}},
		{"request socket of root", kernelLine(a, b, 3, 0, 0, 1, 50, 1, 0, 0, 0),
			tcpvet.Socket{Known: all, State: tcpvet.SynRecv, Local: a, Remote: b,
				Timer: tcpvet.Timer{Kind: tcpvet.TimerOn, Expires: 500 * time.Millisecond, Retransmits: 1}}},
		{"a timer of a later kernel", kernelLine(a, b, 1, 0, 0, 9, 50, 1, 7, 0, 5),
			tcpvet.Socket{Known: all &^ tcpvet.FactTimer, State: tcpvet.Established, Local: a, Remote: b, UID: 7, Inode: 5}},
		{"white space changed", strings.Join(strings.Fields(kernelLine(a, b, 1, 0, 0, 0, 0, 0, 7, 0, 5))[:10], "\t") + "\r",
			tcpvet.Socket{Known: all, State: tcpvet.Established, Local: a, Remote: b, UID: 7, Inode: 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := tcpvet.Socket{Cookie: 99, SharedWith: []tcpvet.Process{{PID: 1}}} // of the line before
			if err := DecodeNetTCP([]byte(test.line), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestDecodeNetTCPNamesTheColumn(t *testing.T) {
	good := strings.Fields(kernelLine(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.2:2"), 1, 0, 0, 0, 0, 0, 0, 0, 5))
	for i, test := range []struct{ column, bad string }{
		{"sl", "0"},
		{"local_address", "0100007F:00001"},
		{"rem_address", "0000000000000000FFFF00000100007F:0001"},
		{"st", "0C"},
		{"tx_queue:rx_queue", "00000000-00000000"},
		{"tr:tm->when", "00:0000000000000000F"},
		{"retrnsmt", "0x000000"},
		{"uid", "4294967296"},
		{"timeout", "-1"},
		{"inode", "18446744073709551616"},
	} {
		line := append([]string(nil), good...)
		line[i] = test.bad
		var s tcpvet.Socket
		err := DecodeNetTCP([]byte(strings.Join(line, " ")), &s)
		if err == nil || !strings.Contains(err.Error(), "column "+test.column+" is ") || !strings.Contains(err.Error(), test.bad) {
			t.Errorf("%s %s: %v", test.column, test.bad, err)
		}
		err = DecodeNetTCP([]byte(strings.Join(good[:i], " ")), &s)
		if err == nil || !strings.Contains(err.Error(), "column "+test.column+" is missing") {
			t.Errorf("line cut before %s: %v", test.column, err)
		}
	}
}

func TestDecodeNetTCPAllocatesNothing(t *testing.T) {
	line := []byte(kernelLine(netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2"), 1, 5, 6, 2, 8, 0, 0, 0, 5))
	var s tcpvet.Socket
	if n := testing.AllocsPerRun(100, func() {
		if err := DecodeNetTCP(line, &s); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func TestReadNetTCP(t *testing.T) {
	a, b := netip.MustParseAddrPort("127.0.0.1:2024"), netip.MustParseAddrPort("127.0.0.1:40000")
	c, d := netip.MustParseAddrPort("[::1]:2025"), netip.MustParseAddrPort("[::1]:40001")
	text := strings.Join([]string{
		header4, kernelLine(a, b, 1, 0, 0, 0, 0, 0, 0, 0, 1), "",
		header6, kernelLine(c, d, 8, 0, 1, 0, 0, 0, 0, 0, 2), // both files pasted into one, no newline at the end
	}, "\n")
	var got []netip.AddrPort
	collect := func(s *tcpvet.Socket) error { got = append(got, s.Local); return nil }
	if err := ReadNetTCP(strings.NewReader(text), collect); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != a || got[1] != c {
		t.Errorf("got %v, want %v and %v", got, a, c)
	}

	stop := errors.New("stop")
	n := 0
	err := ReadNetTCP(strings.NewReader(text), func(*tcpvet.Socket) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("after an error of yield: %d calls, %v", n, err)
	}
	err = ReadNetTCP(strings.NewReader(header4+"\n\nConnection to host closed.\n"), collect)
	if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Errorf("a line that is none: %v", err)
	}
	if err := ReadNetTCP(strings.NewReader(strings.Repeat("0", 1<<20)), collect); err == nil {
		t.Error("a line without an end was read")
	}
}

func TestReadNetTCPAllocatesNothingPerSocket(t *testing.T) {
	line := kernelLine(netip.MustParseAddrPort("127.0.0.1:2024"), netip.MustParseAddrPort("127.0.0.1:40000"), 1, 0, 0, 0, 0, 0, 0, 0, 1) + "\n"
	allocs := func(lines int) float64 {
		text := strings.Repeat(line, lines)
		return testing.AllocsPerRun(10, func() {
			if err := ReadNetTCP(strings.NewReader(text), func(*tcpvet.Socket) error { return nil }); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocs(10), allocs(1000); many > few {
		t.Errorf("%v allocations for 10 sockets, %v for 1,000", few, many)
	}
}

// A line that is understood, printed again by the kernel's own format, means
// the same.
func FuzzDecodeNetTCP(f *testing.F) {
	f.Fuzz(func(t *testing.T, line []byte) {
		var s, again tcpvet.Socket
		if err := DecodeNetTCP(line, &s); err != nil {
			if !strings.HasPrefix(err.Error(), "decode /proc/net/tcp: column ") {
				t.Fatal(err)
			}
			return
		}
		if !s.Knows(tcpvet.FactTimer) {
			return // its kind is not kept
		}
		retransmits, probes := int(s.Timer.Retransmits), 0
		if s.Timer.Kind != tcpvet.TimerOn {
			retransmits, probes = 0, retransmits
		}
		text := kernelLine(s.Local, s.Remote, int(s.State), int(s.SendQ), int(s.RecvQ), int(s.Timer.Kind),
			uint64(s.Timer.Expires/tick), retransmits, int(s.UID), probes, s.Inode)
		if err := DecodeNetTCP([]byte(text), &again); err != nil {
			t.Fatalf("%q became %q: %v", line, text, err)
		}
		if d := cmp.Diff(s, again, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
			t.Fatalf("%q became %q: %s", line, text, d)
		}
	})
}

func FuzzReadNetTCP(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		ReadNetTCP(strings.NewReader(string(text)), func(s *tcpvet.Socket) error {
			n++
			if !s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Addr().Is4() != s.Remote.Addr().Is4() {
				t.Fatalf("socket between %v and %v", s.Local, s.Remote)
			}
			return nil
		})
		if lines := strings.Count(string(text), "\n") + 1; n > lines {
			t.Fatalf("%d sockets in %d lines", n, lines)
		}
	})
}
