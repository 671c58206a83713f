package dump

import (
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
	child, client := stage(t)
	var dumps []*collector
	for _, f := range fixtures {
		out := run(t, f.command)
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", f.file+".txt"), []byte(out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		failed := t.Failed()
		c := f.check(t, out)
		checkPIDs(t, f.kind, c, int32(os.Getpid()), int32(child))
		if !failed && t.Failed() {
			t.Logf("%s printed\n%s", f.command, out)
		}
		checkKernel(t, f.command, client, c)
		dumps = append(dumps, c)
	}
	for i, a := range dumps {
		for j, b := range dumps[:i] {
			agree(t, fixtures[i].command, a, fixtures[j].command, b)
		}
	}
}

// checkKernel compares what the dump tells of one socket with what the kernel
// tells its owner: fstat(2), SO_COOKIE, TCP_INFO.
func checkKernel(t *testing.T, command string, fd int, c *collector) {
	t.Helper()
	s := c.byEnds()["127.0.0.1:40001 127.0.0.1:8080"]
	if s == nil {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	k, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	if s.Knows(tcpvet.FactInode) && s.Inode != st.Ino {
		t.Errorf("%s: inode %d, not %d", command, s.Inode, st.Ino)
	}
	if s.Knows(tcpvet.FactCookie) && s.Cookie != cookie {
		t.Errorf("%s: cookie %d, not %d", command, s.Cookie, cookie)
	}
	if !s.Knows(tcpvet.FactInfo) {
		return
	}
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
	for what, pair := range map[string][2]time.Duration{
		"lastsnd": {got.LastDataSent, time.Duration(k.Last_data_sent) * time.Millisecond},
		"lastrcv": {got.LastDataRecv, time.Duration(k.Last_data_recv) * time.Millisecond},
		"lastack": {got.LastAckRecv, time.Duration(k.Last_ack_recv) * time.Millisecond},
	} {
		if pair[0] > pair[1] || pair[1]-pair[0] > 2*time.Second {
			t.Errorf("%s: %s was %v, and later %v", command, what, pair[0], pair[1])
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
	for p, comm := range c.comm {
		want := map[int32]string{self: "dump.test", child: "sleep"}[p.PID]
		if comm != want && comm != want[:min(len(want), 9)] {
			t.Errorf("process %d is called %q, not %q", p.PID, comm, want)
		}
	}
}

// agree compares two dumps of the same sockets on what both know.
func agree(t *testing.T, nameA string, a *collector, nameB string, b *collector) {
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
			t.Errorf("%s: %s is %v for %s and %v for %s", ends(s), what, x, nameA, y, nameB)
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
			apart := (s.Timer.Expires - o.Timer.Expires).Abs()
			// ss leaves out what is under a minute of a long timer, and one
			// of retransmission starts anew between two commands.
			most := 5 * time.Second
			switch s.Timer.Kind {
			case tcpvet.TimerKeepalive:
				most = time.Minute + 5*time.Second
			case tcpvet.TimerOn, tcpvet.TimerPersist:
				most = 30 * time.Second
			}
			if s.Timer.Kind != o.Timer.Kind || apart > most {
				differ("timer", s.Timer, o.Timer)
			}
		}
		if both.Has(tcpvet.FactInfo) && !moving {
			x, y := s.Info, o.Info
			if x.SndMSS != y.SndMSS || x.RcvMSS != y.RcvMSS || x.SndCwnd != y.SndCwnd || x.BytesReceived != y.BytesReceived ||
				x.BytesAcked != y.BytesAcked || x.SndWScale != y.SndWScale || x.RcvWScale != y.RcvWScale || x.RTT != y.RTT {
				differ("tcp_info", x, y)
			}
		}
	}
}
