package sockdiag

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	mdnetlink "github.com/mdlayher/netlink"
	vishnetlink "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// readKernelMsg decodes a message the slow way: fields by struct, tcp_info by
// the struct of x/sys.
func readKernelMsg(t testing.TB, payload []byte) (want tcpvet.Socket) {
	t.Helper()
	var m kernelMsg
	must(t, binary.Read(bytes.NewReader(payload), binary.NativeEndian, &m))
	addr := func(raw [16]byte, port [2]byte) netip.AddrPort {
		n := 16
		if m.Family == unix.AF_INET {
			n = 4
		}
		a, ok := netip.AddrFromSlice(raw[:n])
		if !ok {
			t.Fatal("no address")
		}
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port[:]))
	}
	want = tcpvet.Socket{
		State:     tcpvet.State(m.State),
		Mini:      m.Timer == 3,
		Local:     addr(m.ID.Src, m.ID.Sport),
		Remote:    addr(m.ID.Dst, m.ID.Dport),
		Interface: m.ID.If,
		RecvQ:     m.Rqueue,
		SendQ:     m.Wqueue,
		Inode:     uint64(m.Inode),
		UID:       m.UID,
		Cookie:    uint64(m.ID.Cookie[1])<<32 + uint64(m.ID.Cookie[0]),
		Timer: tcpvet.Timer{
			Kind:        tcpvet.TimerKind(m.Timer),
			Expires:     time.Duration(m.Expires) * time.Millisecond,
			Retransmits: m.Retrans,
		},
	}
	if m.State == 7 {
		want.State = tcpvet.BoundInactive
	}
	ad, err := mdnetlink.NewAttributeDecoder(payload[binary.Size(m):])
	must(t, err)
	for ad.Next() {
		switch {
		case ad.Type() == 21: // INET_DIAG_CGROUP_ID
			want.Cgroup = ad.Uint64()
		case ad.Type() == 2 && want.State != tcpvet.Listen: // INET_DIAG_INFO
			var k unix.TCPInfo
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&k)), unsafe.Sizeof(k)), ad.Bytes())
			want.Info = kernelInfo(&k)
			scales := ad.Bytes()[6]
			want.Info.SndWScale, want.Info.RcvWScale = scales%16, scales/16 // little-endian
		}
	}
	must(t, ad.Err())
	return want
}

// kernelInfo names the fields of x/sys's struct tcp_info as tcpvet does.
func kernelInfo(k *unix.TCPInfo) tcpvet.TCPInfo {
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	us := func(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
	const (
		timestamps = 1
		sack       = 2
	)
	i := tcpvet.TCPInfo{
		LastDataSent: ms(k.Last_data_sent), LastDataRecv: ms(k.Last_data_recv), LastAckRecv: ms(k.Last_ack_recv),
		RTT: us(uint64(k.Rtt)), RTTVar: us(uint64(k.Rttvar)), RTO: us(uint64(k.Rto)),
		Unacked: k.Unacked, Lost: k.Lost, Retrans: k.Retrans, TotalRetrans: k.Total_retrans,
		Backoff: k.Backoff, Probes: k.Probes, SndCwnd: k.Snd_cwnd,
		BytesSent: k.Bytes_sent, BytesAcked: k.Bytes_acked, BytesReceived: k.Bytes_received,
		Timestamps: k.Options&timestamps != 0, SACK: k.Options&sack != 0,
		SndMSS: k.Snd_mss, RcvMSS: k.Rcv_mss, NotSent: k.Notsent_bytes,
		BusyTime: us(k.Busy_time), RwndLimited: us(k.Rwnd_limited), SndBufLimited: us(k.Sndbuf_limited),
		DeliveryRateBytesS: k.Delivery_rate,
	}
	if k.Min_rtt != ^uint32(0) {
		i.MinRTT = us(uint64(k.Min_rtt))
	}
	return i
}

// Decode against encoding/binary, on messages that mdlayher/netlink fetched:
// the same bytes, so every field must be equal.
func TestRootAgreesWithMdlayher(t *testing.T) {
	kerneltest.Netns(t)
	stageAll(t, loopbacks...)
	// Its own goroutine and thread, but of this namespace: the socket is made
	// on the calling thread.
	md, err := mdnetlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	must(t, err)
	defer md.Close()
	ours := dumpAll(t, dial(t), Request{Info: true})
	told := 0
	for _, fam := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := Request{Info: true}.appendTo(nil, fam, 0)[headerLen:]
		msgs, err := md.Execute(mdnetlink.Message{
			Header: mdnetlink.Header{Type: 20, Flags: mdnetlink.Request | mdnetlink.Dump},
			Data:   req,
		})
		must(t, err)
		for _, m := range msgs {
			told++
			want := readKernelMsg(t, m.Data)
			var got tcpvet.Socket
			must(t, Decode(m.Data, &got))
			want.Known = got.Known // of which the other tests speak
			if diff := cmp.Diff(want, got, sameAddr); diff != "" {
				t.Errorf("encoding/binary (-) and Decode (+) differ:\n%s", diff)
			}
			if o, ok := ours[want.Cookie]; !ok || o.Local != want.Local || o.Remote != want.Remote || o.State != want.State {
				t.Errorf("our dump has %v %v -> %v (%v), mdlayher %v %v -> %v", o.State, o.Local, o.Remote, ok, want.State, want.Local, want.Remote)
			}
		}
	}
	if told != len(ours) {
		t.Errorf("mdlayher got %d sockets, we %d", told, len(ours))
	}
}

func TestRootAgreesWithVishvananda(t *testing.T) {
	kerneltest.Netns(t)
	stageAll(t, loopbacks...)
	c := dial(t)
	twoLooks(t, "vishvananda/netlink and we", func() string { return vishvanandaDiff(t, c) })
}

// vishvanandaDiff says in which fields the two differ. Its mask of states is
// 0xfff: no merely bound sockets.
func vishvanandaDiff(t *testing.T, c *Conn) string {
	t.Helper()
	var diff []string
	ours := dumpAll(t, c, Request{Info: true, States: tcpvet.AllStates &^ (1 << tcpvet.BoundInactive)})
	told := 0
	for _, fam := range []uint8{unix.AF_INET, unix.AF_INET6} {
		theirs, err := vishnetlink.SocketDiagTCPInfo(fam)
		must(t, err)
		for _, r := range theirs {
			told++
			d := r.InetDiagMsg
			got, ok := ours[uint64(d.ID.Cookie[1])<<32|uint64(d.ID.Cookie[0])]
			if !ok {
				diff = append(diff, fmt.Sprintf("%+v is not told", d))
				continue
			}
			same := func(field string, ours, theirs any) {
				if ours != theirs {
					diff = append(diff, fmt.Sprintf("%v %v -> %v: %s: %v, vishvananda has %v", got.State, got.Local, got.Remote, field, ours, theirs))
				}
			}
			same("state", uint8(got.State), d.State)
			same("timer", uint8(got.Timer.Kind), d.Timer)
			same("local port", got.Local.Port(), d.ID.SourcePort)
			same("remote port", got.Remote.Port(), d.ID.DestinationPort)
			// net.IP prints a mapped address as IPv4.
			same("local address", got.Local.Addr().Unmap().String(), d.ID.Source.String())
			same("remote address", got.Remote.Addr().Unmap().String(), d.ID.Destination.String())
			same("Recv-Q", got.RecvQ, d.RQueue)
			same("Send-Q", got.SendQ, d.WQueue)
			same("uid", got.UID, d.UID)
			same("inode", got.Inode, uint64(d.INode))
			if got.State != tcpvet.Listen {
				same("tcp_info", got.Knows(tcpvet.FactInfo), r.TCPInfo != nil)
			}
			if k := r.TCPInfo; k != nil && got.Knows(tcpvet.FactInfo) {
				same("RTT", got.Info.RTT, time.Duration(k.Rtt)*time.Microsecond)
				same("cwnd", got.Info.SndCwnd, k.Snd_cwnd)
				same("MSS", got.Info.SndMSS, k.Snd_mss)
				same("bytes sent", got.Info.BytesSent, k.Bytes_sent)
				same("bytes acked", got.Info.BytesAcked, k.Bytes_acked)
				same("bytes received", got.Info.BytesReceived, k.Bytes_received)
				same("not sent", got.Info.NotSent, k.Notsent_bytes)
				same("delivery rate", got.Info.DeliveryRateBytesS, k.Delivery_rate)
			}
		}
	}
	if told == 0 || told != len(ours) {
		diff = append(diff, fmt.Sprintf("vishvananda got %d sockets, we %d", told, len(ours)))
	}
	return strings.Join(diff, "\n")
}

// ssField finds "name:value" in the second half of a line of ss.
func ssField(line, name string) string {
	m := regexp.MustCompile(`(?:^|\s)` + name + `:(\S+)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return m[1]
}

func TestRootAgreesWithSS(t *testing.T) {
	ss := kerneltest.Tool(t, "ss")
	kerneltest.Netns(t)
	stageAll(t, loopbacks...)
	c := dial(t)
	twoLooks(t, "ss and we", func() string { return ssDiff(t, c, ss) })
}

// ssDiff says in which lines the two differ.
func ssDiff(t *testing.T, c *Conn, ss string) string {
	t.Helper()
	var diffs []string
	// Started from this thread, so ss is in its namespace. It asks for no merely
	// bound sockets, and prints the wildcard of a socket that is not for IPv6
	// only as *.
	out, err := exec.Command(ss, "-tanpeiOH").Output()
	must(t, err)
	ours := dumpAll(t, c, Request{Info: true, States: tcpvet.AllStates &^ (1 << tcpvet.BoundInactive)})
	told := 0
	for line := range strings.Lines(string(out)) {
		told++
		f := strings.Fields(strings.Replace(line, " *:* ", " [::]:* ", 1))
		sk, err := strconv.ParseUint(ssField(line, "sk"), 16, 64)
		if err != nil || len(f) < 5 {
			t.Fatalf("ss: %q: %v", line, err)
		}
		s, ok := ours[sk]
		if !ok {
			diffs = append(diffs, "not told: "+line)
			continue
		}
		ino, uid := uint64(0), uint64(0)
		ino, err = strconv.ParseUint(ssField(line, "ino"), 10, 64)
		must(t, err)
		if v := ssField(line, "uid"); v != "" { // not printed for root
			uid, err = strconv.ParseUint(v, 10, 32)
			must(t, err)
		}
		want := []string{
			f[0], f[1], f[2], f[3], f[4],
			strconv.FormatUint(ino, 10), strconv.FormatUint(uid, 10),
		}
		got := []string{
			s.State.String(), strconv.Itoa(int(s.RecvQ)), strconv.Itoa(int(s.SendQ)), ssEndpoint(&s, s.Local), ssEndpoint(nil, s.Remote),
			strconv.FormatUint(s.Inode, 10), strconv.FormatUint(uint64(s.UID), 10),
		}
		if s.Knows(tcpvet.FactInfo) {
			want = append(want, ssField(line, "cwnd"), ssField(line, "mss"))
			got = append(got, fmt.Sprint(s.Info.SndCwnd), fmt.Sprint(s.Info.SndMSS))
			for name, n := range map[string]uint64{"bytes_sent": s.Info.BytesSent, "bytes_acked": s.Info.BytesAcked, "bytes_received": s.Info.BytesReceived, "notsent": uint64(s.Info.NotSent)} {
				if v := ssField(line, name); v != "" || n != 0 { // ss leaves 0 out
					want, got = append(want, v), append(got, strconv.FormatUint(n, 10))
				}
			}
			if scale := ssField(line, "wscale"); scale != "" {
				want = append(want, scale)
				got = append(got, fmt.Sprintf("%d,%d", s.Info.SndWScale, s.Info.RcvWScale))
			}
		}
		if timer := ssField(line, "timer"); timer != "" || s.Timer.Kind != tcpvet.TimerNone {
			kind, _, _ := strings.Cut(strings.TrimPrefix(timer, "("), ",")
			want, got = append(want, kind), append(got, s.Timer.Kind.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			diffs = append(diffs, "ss (-), dump (+):\n"+line+diff)
		}
	}
	if told == 0 || told != len(ours) {
		diffs = append(diffs, fmt.Sprintf("ss printed %d sockets, we got %d", told, len(ours)))
	}
	return strings.Join(diffs, "\n")
}

// ssEndpoint prints an endpoint as ss -n does: an interface after the address,
// * for port 0.
func ssEndpoint(s *tcpvet.Socket, ap netip.AddrPort) string {
	addr := ap.Addr().String()
	if ap.Addr().Is6() {
		addr = "[" + addr + "]"
	}
	if s != nil && s.Interface == 1 {
		addr += "%lo"
	}
	port := strconv.Itoa(int(ap.Port()))
	if ap.Port() == 0 {
		port = "*"
	}
	return addr + ":" + port
}
