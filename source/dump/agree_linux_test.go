package dump

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

var update = flag.Bool("update", false, "write testdata/*.txt from the sockets that TestRootAgree makes")

// TestRootAgree runs every command on the same sockets. Each dump has to hold
// what was made, and all of them have to agree on what they both know.
func TestRootAgree(t *testing.T) {
	child, client, began := stage(t)
	var looks []look
	for _, f := range fixtures {
		before := ownerOf(t, client)
		start := time.Now()
		out := run(t, f.command)
		end := time.Now()
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", f.file+".txt"), []byte(out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		failed := t.Failed()
		c := f.check(t, out, end.Sub(began))
		checkPIDs(t, f.kind, c, int32(os.Getpid()), int32(child))
		if !failed && t.Failed() {
			t.Logf("%s printed\n%s", f.command, out)
		}
		checkKernel(t, f.command, c, before, ownerOf(t, client))
		looks = append(looks, look{f.command, c, start, end})
	}
	for i := range looks {
		for j := range looks[:i] {
			agree(t, &looks[i], &looks[j])
		}
	}
}

// look is what a command has told, and when it ran.
type look struct {
	command string
	*collector
	start, end time.Time
}

// owned is what the kernel tells the owner of a socket: fstat(2), SO_COOKIE,
// TCP_INFO.
type owned struct {
	inode, cookie uint64
	info          *unix.TCPInfo
}

func ownerOf(t *testing.T, fd int) owned {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return owned{st.Ino, cookie, info}
}

// checkKernel compares what the dump tells of one socket with what its owner was
// told before and after.
func checkKernel(t *testing.T, command string, c *collector, before, after owned) {
	t.Helper()
	s := c.byEnds()["127.0.0.1:40001 127.0.0.1:8080"]
	if s == nil {
		return
	}
	if s.Knows(tcpvet.FactInode) && s.Inode != after.inode {
		t.Errorf("%s: inode %d, not %d", command, s.Inode, after.inode)
	}
	if s.Knows(tcpvet.FactCookie) && s.Cookie != after.cookie {
		t.Errorf("%s: cookie %d, not %d", command, s.Cookie, after.cookie)
	}
	if !s.Knows(tcpvet.FactInfo) {
		return
	}
	k := after.info
	us := func(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
	got := s.Info
	// ss shows timestamps and SACK with -o or -e alone.
	want := tcpvet.TCPInfo{
		RTT: us(k.Rtt), RTTVar: us(k.Rttvar), RTO: us(k.Rto), MinRTT: us(k.Min_rtt),
		Unacked: k.Unacked, Lost: k.Lost, Retrans: k.Retrans, TotalRetrans: k.Total_retrans,
		Backoff: k.Backoff, Probes: k.Probes, SndCwnd: k.Snd_cwnd,
		BytesSent: k.Bytes_sent, BytesAcked: k.Bytes_acked, BytesReceived: k.Bytes_received,
		Timestamps: s.Knows(tcpvet.FactTimer) && k.Options&1 != 0, SACK: s.Knows(tcpvet.FactTimer) && k.Options&2 != 0,
		SndWScale: got.SndWScale, RcvWScale: got.RcvWScale, // x/sys leaves the bit fields out
		SndMSS: k.Snd_mss, RcvMSS: k.Rcv_mss, NotSent: k.Notsent_bytes,
		BusyTime:           time.Duration(k.Busy_time) * time.Microsecond / time.Millisecond * time.Millisecond,
		RwndLimited:        time.Duration(k.Rwnd_limited) * time.Microsecond / time.Millisecond * time.Millisecond,
		SndBufLimited:      time.Duration(k.Sndbuf_limited) * time.Microsecond / time.Millisecond * time.Millisecond,
		DeliveryRateBytesS: k.Delivery_rate,
	}
	for what, of := range map[string]struct {
		got         time.Duration
		first, then uint32 // milliseconds
	}{
		"lastsnd": {got.LastDataSent, before.info.Last_data_sent, k.Last_data_sent},
		"lastrcv": {got.LastDataRecv, before.info.Last_data_recv, k.Last_data_recv},
		"lastack": {got.LastAckRecv, before.info.Last_ack_recv, k.Last_ack_recv},
	} {
		if ms := of.got.Milliseconds(); ms < int64(of.first) || ms > int64(of.then) {
			t.Errorf("%s: %s is %d ms, before it was %d and then %d", command, what, ms, of.first, of.then)
		}
	}
	got.LastDataSent, got.LastDataRecv, got.LastAckRecv = 0, 0, 0
	if got != want {
		t.Errorf("%s: tcp_info is\n%+v\nnot\n%+v", command, got, want)
	}
}

func run(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	cmd := exec.Command(kerneltest.Tool(t, words[0]), words[1:]...)
	cmd.Stderr = nil // ss -e and lsof complain about what is no concern of ours
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

// checkPIDs compares the holders with the two processes that there are. netstat
// names one of several.
func checkPIDs(t *testing.T, kind string, c *collector, self, child int32) {
	t.Helper()
	got := c.byEnds()
	for _, w := range staged {
		s := got[w.local+" "+w.remote]
		if s == nil || !s.Knows(tcpvet.FactHolders) {
			continue
		}
		var want []tcpvet.Process
		if w.holders > 0 {
			want = append(want, tcpvet.Process{PID: self})
		}
		if w.holders > 1 && kind != "netstat" {
			want = append(want, tcpvet.Process{PID: child})
		}
		slices.SortFunc(want, func(a, b tcpvet.Process) int { return int(a.PID - b.PID) })
		var have []tcpvet.Process
		if s.Holder.Known() {
			have = append([]tcpvet.Process{s.Holder}, s.SharedWith...)
		}
		if kind == "netstat" && w.holders > 1 && len(have) == 1 && have[0].PID == child {
			continue
		}
		if !slices.Equal(have, want) {
			t.Errorf("%v %s is held by %v, not %v", w.state, ends(s), have, want)
		}
	}
	own, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	names := map[int32]string{self: strings.TrimSuffix(string(own), "\n"), child: "sleep"}
	for p, comm := range c.comm {
		want := names[p.PID]
		// lsof cuts it to 9 bytes, netstat to 19 with the PID.
		if !strings.HasPrefix(want, comm) || len(comm) < min(len(want), 9) {
			t.Errorf("process %d is called %q, not %q", p.PID, comm, want)
		}
	}
}

// agree compares two dumps of the same sockets on what both know.
func agree(t *testing.T, a, b *look) {
	t.Helper()
	sockets := b.byEnds()
	for _, s := range a.byEnds() {
		o := sockets[ends(s)]
		if o == nil {
			continue
		}
		both := s.Known & o.Known
		differ := func(what string, x, y any) {
			t.Helper()
			t.Errorf("%s: %s is %v for %s and %v for %s", ends(s), what, x, a.command, y, b.command)
		}
		if s.State != o.State {
			differ("state", s.State, o.State)
		}
		// Probes of a full window move what is queued on either end.
		moving := s.Local.Port() == 40007 || s.Remote.Port() == 40007
		if both&(tcpvet.FactQueues|tcpvet.FactBacklog) != 0 && !moving && s.RecvQ != o.RecvQ {
			differ("Recv-Q", s.RecvQ, o.RecvQ)
		}
		if both&(tcpvet.FactQueues|tcpvet.FactBacklogMax) != 0 && !moving && s.SendQ != o.SendQ {
			differ("Send-Q", s.SendQ, o.SendQ)
		}
		if both.Has(tcpvet.FactInode) && s.Inode != o.Inode {
			differ("inode", s.Inode, o.Inode)
		}
		if both.Has(tcpvet.FactUID) && s.UID != o.UID {
			differ("user", s.UID, o.UID)
		}
		if both.Has(tcpvet.FactCookie) && s.Cookie != o.Cookie {
			differ("cookie", s.Cookie, o.Cookie)
		}
		if both.Has(tcpvet.FactMini) && s.Mini != o.Mini {
			differ("mini", s.Mini, o.Mini)
		}
		if both.Has(tcpvet.FactHolders) && s.Holder.Known() != o.Holder.Known() {
			differ("holder", s.Holder, o.Holder)
		}
		if both.Has(tcpvet.FactTimer) {
			// One of retransmission starts anew between two commands.
			again := s.Timer.Kind == tcpvet.TimerOn || s.Timer.Kind == tcpvet.TimerPersist
			if s.Timer.Kind != o.Timer.Kind || !again && s.Timer.Kind != tcpvet.TimerNone && !sameEnd(a, s, b, o) {
				differ("timer", s.Timer, o.Timer)
			}
		}
		// A SYN that is sent again changes cwnd.
		if both.Has(tcpvet.FactInfo) && !moving && s.State != tcpvet.SynSent {
			x, y := s.Info, o.Info
			if x.SndMSS != y.SndMSS || x.RcvMSS != y.RcvMSS || x.SndCwnd != y.SndCwnd || x.BytesReceived != y.BytesReceived ||
				x.BytesAcked != y.BytesAcked || x.SndWScale != y.SndWScale || x.RcvWScale != y.RcvWScale || x.RTT != y.RTT {
				differ("tcp_info", x, y)
			}
		}
	}
}

// sameEnd tells whether two commands can mean the same moment by the end of a
// timer: the rest was so long at some time while each ran.
func sameEnd(a *look, s *tcpvet.Socket, b *look, o *tcpvet.Socket) bool {
	between := func(l *look, rest time.Duration) (first, last time.Time) {
		return l.start.Add(rest), l.end.Add(rest + rounded(rest))
	}
	firstA, lastA := between(a, s.Timer.Expires)
	firstB, lastB := between(b, o.Timer.Expires)
	return !firstA.After(lastB) && !firstB.After(lastA)
}

// TestRootUDP gives what ss prints of UDP sockets: without a command above it the
// same lines could be of TCP.
func TestRootUDP(t *testing.T) {
	stage(t)
	for _, command := range []string{"ss -uan", "ss -anA udp", "ss -an --udp", "ss -a -n --query=udp"} {
		out := run(t, command)
		if !strings.Contains(out, "UNCONN") {
			t.Fatalf("%s printed no UDP socket:\n%s", command, out)
		}
		for text, want := range map[string]error{
			"# " + command + "\n" + out: errNotTCP,
			out:                         errMaybeUDP,
			"# ss -an\n" + out:          errMaybeUDP,
		} {
			for _, lenient := range []bool{false, true} {
				if d, err := Parse(strings.NewReader(text), Options{Lenient: lenient}); !errors.Is(err, want) {
					t.Errorf("lenient %v: %v, %v, not %v, for\n%s", lenient, d, err, want, text)
				}
			}
		}
		// The same lines below a command that asks for TCP are what it says.
		_, c := read(t, "# ss -tan\n"+out)
		if len(c.sockets) != 1 || c.sockets[0].State != tcpvet.BoundInactive || c.sockets[0].Local.Port() != 5353 {
			t.Errorf("below ss -tan it holds %v", briefs(c))
		}
	}
	// With its first column ss says what each line is about.
	if _, c := read(t, run(t, "ss -tuan")); len(c.sockets) != len(staged) {
		t.Errorf("%d sockets, not %d", len(c.sockets), len(staged))
	}
	if _, err := Parse(strings.NewReader("# netstat -uan\n"+run(t, "netstat -uan")), Options{}); !errors.Is(err, errNotTCP) {
		t.Errorf("netstat -uan: %v", err)
	}
}
