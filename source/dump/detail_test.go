package dump

import (
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

// TestDetail reads all that ss tells of one socket. The line is made up so that
// every field has a value of its own.
func TestDetail(t *testing.T) {
	const line = `CLOSE-WAIT 4 7 10.0.0.1:40000 10.0.0.2:80 users:(("app",pid=21,fd=9)) timer:(persist,3.048ms,5) uid:1000 ino:414084 sk:1a2b3c4d5e6f7081 cgroup:/x <-> ` +
		`skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0) ts sack ecn cubic wscale:7,9 rto:1.2e+05 backoff:3 rtt:0.018/12.5 ato:40 mss:1448 pmtu:1500 rcvmss:536 advmss:1460 cwnd:10 ssthresh:9 ` +
		`bytes_sent:18446744073709551615 bytes_retrans:3 bytes_acked:12 bytes_received:13 segs_out:9 send 6.4Mbps lastsnd:101 lastrcv:102 lastack:4294967295 pacing_rate 1Gbps ` +
		`delivery_rate 32.8Gbps delivered:2 app_limited busy:41ms rwnd_limited:42ms(10.5%) sndbuf_limited:43ms(1.0%) unacked:14 retrans:2/15 lost:16 sacked:1 rcv_space:14600 notsent:17 minrtt:0.25 snd_wnd:65536`
	_, c := read(t, line+"\n")
	s := c.sockets[0]
	const ms, us = time.Millisecond, time.Microsecond
	want := tcpvet.TCPInfo{
		LastDataSent: 101 * ms, LastDataRecv: 102 * ms, LastAckRecv: 4294967295 * ms,
		RTT: 18 * us, RTTVar: 12500 * us, RTO: 120 * time.Second,
		Unacked: 14, Lost: 16, Retrans: 2, TotalRetrans: 15, Backoff: 3, Probes: 5, SndCwnd: 10,
		BytesSent: 1<<64 - 1, BytesAcked: 12, BytesReceived: 13, Timestamps: true, SACK: true,
		SndWScale: 7, RcvWScale: 9, SndMSS: 1448, RcvMSS: 536, NotSent: 17, MinRTT: 250 * us,
		BusyTime: 41 * ms, RwndLimited: 42 * ms, SndBufLimited: 43 * ms, DeliveryRateBytesS: 4_100_000_000,
	}
	if s.Info != want {
		t.Errorf("tcp_info is\n%+v\nnot\n%+v", s.Info, want)
	}
	if want := (tcpvet.Timer{Kind: tcpvet.TimerPersist, Expires: 3048 * ms, Retransmits: 5}); s.Timer != want {
		t.Errorf("timer is %+v, not %+v", s.Timer, want)
	}
	if s.UID != 1000 || s.Inode != 414084 || s.Cookie != 0x1a2b3c4d5e6f7081 {
		t.Errorf("user %d, inode %d, cookie %x", s.UID, s.Inode, s.Cookie)
	}
	if want := tcpvet.FactQueues | allExtra | holders; s.Known != want {
		t.Errorf("known is %v, not %v", s.Known, want)
	}
	// The same in two lines, and cut at every byte: no panic, and no value that
	// is not whole passes for one where the cut shows.
	first, second, _ := strings.Cut(line, " skmem:")
	_, two := read(t, first+"\n\t skmem:"+second+"\n")
	if two.sockets[0].Info != want {
		t.Error("in two lines it reads differently")
	}
	for i := range line {
		_, _ = Parse(strings.NewReader(line[:i]), Options{})
	}
}

// TestCutInfo leaves no tcp_info known where some of it is missing: what is
// missing reads as 0.
func TestCutInfo(t *testing.T) {
	const good = "ESTAB 0 0 10.0.0.1:1 10.0.0.2:80\n\t cwnd:10 lastrcv:5 lastack:5            \n"
	for _, cut := range []string{"\t cwnd:10 rtt:0.1/", "\t cwnd:10 rtt:0.1/\n", "\t cwnd:10 lastrcv:5 last"} {
		d, err := Parse(strings.NewReader(good+"ESTAB 0 0 10.0.0.1:2 10.0.0.2:80\n"+cut), Options{Lenient: true})
		if err != nil {
			t.Fatal(err)
		}
		c := collect(t, d)
		if len(c.sockets) != 2 || len(c.gaps) != 1 {
			t.Fatalf("%q: read %v with gaps %v", cut, briefs(c), c.gaps)
		}
		if !c.sockets[0].Knows(tcpvet.FactInfo) || c.sockets[1].Knows(tcpvet.FactInfo) {
			t.Errorf("%q: tcp_info known is %v of the whole line and %v of the cut one", cut,
				c.sockets[0].Knows(tcpvet.FactInfo), c.sockets[1].Knows(tcpvet.FactInfo))
		}
	}
}

// TestLines holds the length of a line to its bound, wherever the reader's
// buffer happens to end.
func TestLines(t *testing.T) {
	for _, n := range []int{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, maxLine - 1, maxLine, maxLine + 1, maxLine + 1<<16, 3 * maxLine} {
		in := newLines(strings.NewReader(strings.Repeat("x", n) + "\nnext"))
		if !in.next() || in.n != 1 || !in.whole {
			t.Fatalf("%d bytes: line %d, whole %v", n, in.n, in.whole)
		}
		if long := n+1 > maxLine; in.long != long || !long && len(in.text) != n || len(in.text) >= maxLine {
			t.Errorf("%d bytes: %d are kept, too long %v", n, len(in.text), in.long)
		}
		if !in.next() || string(in.text) != "next" || in.whole || in.long || in.n != 2 {
			t.Errorf("%d bytes: then comes line %d, %.20q, whole %v", n, in.n, in.text, in.whole)
		}
		if in.next() || in.err != nil {
			t.Errorf("%d bytes: no end comes, or %v", n, in.err)
		}
	}
}

// TestInterval follows print_ms_timer: what it prints for so many milliseconds.
func TestInterval(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "012ms": 12, "999ms": 999, "1sec": 1000, "3.048ms": 3048, "9.999ms": 9999, "59sec": 59_000,
		"1min": 60_000, "1min3sec": 63_000, "9min59sec": 599_000, "119min": 119 * 60_000,
		"71582min": 0, // 2^32 ms less a little: a timer that is late
	} {
		got, ok := ssInterval([]byte(text))
		if !ok || got != time.Duration(want)*time.Millisecond {
			t.Errorf("%q is %v, %v, not %d ms", text, got, ok, want)
		}
	}
	for _, text := range []string{"3", "ms", "sec", "3.48ms", "3.ms", "3secs", "3sec4", "-3sec", "1sec1min", "1min1min", "1000ms", "3.048sec"} {
		if got, ok := ssInterval([]byte(text)); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
