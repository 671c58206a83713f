package sockdiag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tcpvet/tcpvet"
)

// sameAddr lets cmp compare what netip hides.
var sameAddr = cmpopts.EquateComparable(netip.AddrPort{})

// kernelSockID and kernelMsg are inet_diag_sockid and inet_diag_msg, for
// encoding/binary, which knows nothing of Decode's offsets.
type kernelSockID struct {
	Sport, Dport [2]byte
	Src, Dst     [16]byte
	If           uint32
	Cookie       [2]uint32
}

type kernelMsg struct {
	Family, State, Timer, Retrans       uint8
	ID                                  kernelSockID
	Expires, Rqueue, Wqueue, UID, Inode uint32
}

// payload is the message and its attributes as the kernel would send them.
func (m kernelMsg) payload(attrs ...[]byte) []byte {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, m); err != nil {
		panic(err)
	}
	for _, a := range attrs {
		b.Write(a)
	}
	return b.Bytes()
}

// attr is a struct nlattr with its value and padding.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// sample is a socket of 10.0.0.1:40000 -> 10.0.3.7:8080.
func sample(state uint8, cookie uint32) kernelMsg {
	return kernelMsg{
		Family: 2, State: state,
		ID: kernelSockID{
			Sport: [2]byte{0x9c, 0x40}, Dport: [2]byte{0x1f, 0x90},
			Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{10, 0, 3, 7},
			Cookie: [2]uint32{cookie, 0},
		},
		Inode: 1000 + cookie,
	}
}

func TestDecode(t *testing.T) {
	m := sample(8, 0x11)
	m.Timer, m.Retrans, m.Expires = 2, 3, 61_500
	m.ID.If, m.ID.Cookie[1] = 4, 0x22
	m.Rqueue, m.Wqueue, m.UID, m.Inode = 1, 70_000, 1000, 0xfffffff0
	cgroup := binary.NativeEndian.AppendUint64(nil, 0x1122334455667788)

	s := tcpvet.Socket{Known: ^tcpvet.Facts(0), Netns: 7, Role: tcpvet.Server, Mini: true, SharedWith: make([]tcpvet.Process, 1)}
	s.Info.RTT = time.Second
	if err := Decode(m.payload(attr(8, []byte{3}), attr(21, cgroup), attr(999, []byte("new"))), &s); err != nil {
		t.Fatal(err)
	}
	want := tcpvet.Socket{
		Known: tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactCookie | tcpvet.FactTimer |
			tcpvet.FactMini | tcpvet.FactCgroup,
		State: tcpvet.CloseWait,
		Local: netip.MustParseAddrPort("10.0.0.1:40000"), Remote: netip.MustParseAddrPort("10.0.3.7:8080"),
		Interface: 4, RecvQ: 1, SendQ: 70_000, Inode: 0xfffffff0, UID: 1000,
		Cookie: 0x2200000011, Cgroup: 0x1122334455667788,
		Timer: tcpvet.Timer{Kind: tcpvet.TimerKeepalive, Expires: 61_500 * time.Millisecond, Retransmits: 3},
	}
	if diff := cmp.Diff(want, s, sameAddr); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestDecodeStates(t *testing.T) {
	for kernel := range uint8(20) {
		var s tcpvet.Socket
		err := Decode(sample(kernel, 1).payload(), &s)
		// include/net/tcp_states.h; 12 is TCP_NEW_SYN_RECV, 13 is asked for and
		// answered as 7.
		want := map[uint8]tcpvet.State{
			1: tcpvet.Established, 2: tcpvet.SynSent, 3: tcpvet.SynRecv, 4: tcpvet.FinWait1, 5: tcpvet.FinWait2,
			6: tcpvet.TimeWait, 7: tcpvet.BoundInactive, 8: tcpvet.CloseWait, 9: tcpvet.LastAck, 10: tcpvet.Listen,
			11: tcpvet.Closing, 12: tcpvet.SynRecv, 13: tcpvet.BoundInactive,
		}[kernel]
		if (err != nil) != (want == 0) || err == nil && s.State != want {
			t.Errorf("state %d: %v, %v; want %v", kernel, s.State, err, want)
		}
	}
	m := sample(7, 1)
	m.ID.Sport = [2]byte{}
	var s tcpvet.Socket
	if err := Decode(m.payload(), &s); err != nil || s.State != tcpvet.Unconn {
		t.Errorf("closed and without a port: %v, %v", s.State, err)
	}
}

func TestDecodeKnown(t *testing.T) {
	info := attr(2, make([]byte, 280))
	const always = tcpvet.FactMini | tcpvet.FactInode
	for name, c := range map[string]struct {
		edit  func(*kernelMsg)
		attrs []byte
		has   tcpvet.Facts
		lacks tcpvet.Facts
		mini  bool
	}{
		"a listener has no tcp_info": {
			edit: func(m *kernelMsg) { m.State = 10 }, attrs: info,
			has: tcpvet.FactBacklog | tcpvet.FactBacklogMax, lacks: tcpvet.FactQueues | tcpvet.FactInfo,
		},
		"tcp_info was not sent":    {has: tcpvet.FactQueues, lacks: tcpvet.FactInfo | tcpvet.FactCgroup | tcpvet.FactBacklog},
		"tcp_info was sent":        {attrs: info, has: tcpvet.FactInfo},
		"root holds it":            {has: tcpvet.FactUID},
		"nobody holds it":          {edit: func(m *kernelMsg) { m.Inode = 0 }, lacks: tcpvet.FactUID},
		"it was somebody's":        {edit: func(m *kernelMsg) { m.Inode, m.UID = 0, 1000 }, has: tcpvet.FactUID},
		"no cookie":                {edit: func(m *kernelMsg) { m.ID.Cookie = [2]uint32{} }, lacks: tcpvet.FactCookie},
		"orphan":                   {edit: func(m *kernelMsg) { m.State, m.Timer, m.Inode = 5, 3, 0 }, mini: true, lacks: tcpvet.FactUID},
		"TIME-WAIT":                {edit: func(m *kernelMsg) { m.State, m.Timer, m.Inode = 6, 3, 0 }, mini: true, has: tcpvet.FactTimer},
		"held FIN-WAIT-2":          {edit: func(m *kernelMsg) { m.State = 5 }, has: tcpvet.FactTimer},
		"a timer of later kernels": {edit: func(m *kernelMsg) { m.Timer = 6 }, lacks: tcpvet.FactTimer},
	} {
		m := sample(1, 1)
		if c.edit != nil {
			c.edit(&m)
		}
		var s tcpvet.Socket
		if err := Decode(m.payload(c.attrs), &s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !s.Knows(c.has|always) || s.Known&c.lacks != 0 || s.Mini != c.mini {
			t.Errorf("%s: known %v, mini %v", name, s.Known, s.Mini)
		}
	}
}

func TestDecodeTimers(t *testing.T) {
	for name, c := range map[string]struct {
		kind    uint8
		expires uint32
		want    tcpvet.Timer
	}{
		"retransmission":        {1, 200, tcpvet.Timer{Kind: tcpvet.TimerOn, Expires: 200 * time.Millisecond, Retransmits: 2}},
		"window probe":          {4, 1, tcpvet.Timer{Kind: tcpvet.TimerPersist, Expires: time.Millisecond, Retransmits: 2}},
		"two hours":             {2, 7_200_000, tcpvet.Timer{Kind: tcpvet.TimerKeepalive, Expires: 2 * time.Hour, Retransmits: 2}},
		"due 4 ms ago, wrapped": {1, 0xfffffffc, tcpvet.Timer{Kind: tcpvet.TimerOn, Retransmits: 2}},
		"delayed ACK":           {5, 40, tcpvet.Timer{}},
	} {
		m := sample(1, 1)
		m.Timer, m.Expires, m.Retrans = c.kind, c.expires, 2
		var s tcpvet.Socket
		if err := Decode(m.payload(), &s); err != nil || s.Timer != c.want || !s.Knows(tcpvet.FactTimer) {
			t.Errorf("%s: %+v, %v; want %+v", name, s.Timer, err, c.want)
		}
	}
}

func TestDecodeIPv6(t *testing.T) {
	for _, text := range []string{"2001:db8::7", "::ffff:10.0.3.7", "::"} {
		m := sample(1, 1)
		m.Family = 10
		m.ID.Src = netip.MustParseAddr(text).As16()
		var s tcpvet.Socket
		if err := Decode(m.payload(), &s); err != nil || s.Local != netip.AddrPortFrom(netip.MustParseAddr(text), 40000) {
			t.Errorf("%s: %v, %v", text, s.Local, err)
		}
	}
}

// Older kernels end struct tcp_info earlier.
func TestDecodeShortInfo(t *testing.T) {
	whole := make([]byte, 280)
	for i := range whole {
		whole[i] = 1
	}
	const ones = 0x01010101
	decode := func(n int) (i tcpvet.TCPInfo, err error) {
		var s tcpvet.Socket
		err = Decode(sample(1, 1).payload(attr(2, whole[:n])), &s)
		return s.Info, err
	}
	i, err := decode(104) // Linux 2.6
	if err != nil || i.TotalRetrans != ones || i.RTT != ones*time.Microsecond || i.BytesAcked != 0 || i.BytesSent != 0 || i.MinRTT != 0 {
		t.Errorf("104 bytes: %+v, %v", i, err)
	}
	i, err = decode(192) // Linux 4.10: up to tcpi_sndbuf_limited
	// 2,292 years of microseconds are more than a Duration holds.
	if longest := math.MaxInt64 * time.Nanosecond; err != nil || i.SndBufLimited != longest.Truncate(time.Microsecond) || i.BytesSent != 0 {
		t.Errorf("192 bytes: %+v, %v", i, err)
	}
	if i, err = decode(280); err != nil || i.BytesSent != 0x0101010101010101 {
		t.Errorf("280 bytes: %+v, %v", i, err)
	}
	if _, err = decode(103); !errors.Is(err, ErrTruncated) {
		t.Errorf("103 bytes: %v, want ErrTruncated", err)
	}
}

func TestDecodeInfoWithoutSample(t *testing.T) {
	info := make([]byte, 280)
	copy(info[148:], []byte{0xff, 0xff, 0xff, 0xff}) // tcpi_min_rtt before the first sample
	var s tcpvet.Socket
	if err := Decode(sample(1, 1).payload(attr(2, info)), &s); err != nil || s.Info.MinRTT != 0 {
		t.Errorf("min RTT %v, %v; want none", s.Info.MinRTT, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := sample(1, 1).payload()
	family := sample(1, 1)
	family.Family = 1
	for name, c := range map[string]struct {
		msg  []byte
		want string
	}{
		"nothing":               {nil, "0 bytes where inet_diag_msg has 72"},
		"a byte short":          {whole[:71], "71 bytes"},
		"AF_UNIX":               {family.payload(), "address family 1"},
		"attribute of 3 bytes":  {append(bytes.Clone(whole), 3, 0, 2, 0), "3 bytes long"},
		"attribute past end":    {append(bytes.Clone(whole), 12, 0, 21, 0, 1, 2, 3, 4), "12 bytes long where 8 are left"},
		"cgroup ID of 4 bytes":  {append(bytes.Clone(whole), attr(21, make([]byte, 4))...), "4 bytes, not 8"},
		"tcp_info of 100 bytes": {append(bytes.Clone(whole), attr(2, make([]byte, 100))...), "100 bytes"},
	} {
		var s tcpvet.Socket
		if err := Decode(c.msg, &s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
	// Under a header's length there is only padding.
	var s tcpvet.Socket
	if err := Decode(append(bytes.Clone(whole), 0, 0), &s); err != nil {
		t.Errorf("padding: %v", err)
	}
}

func TestFull(t *testing.T) {
	if !full(sample(3, 1).payload(attr(8, []byte{0}))) {
		t.Error("INET_DIAG_SHUTDOWN is there: a whole socket")
	}
	if full(sample(3, 1).payload(attr(15, make([]byte, 4)))) || full(nil) {
		t.Error("only a mark: a request")
	}
}

func TestDecodeAllocs(t *testing.T) {
	msg := sample(1, 1).payload(attr(8, []byte{0}), attr(2, make([]byte, 280)), attr(21, make([]byte, 8)))
	short := sample(1, 1).payload(attr(2, make([]byte, 104)))
	var s tcpvet.Socket
	if n := testing.AllocsPerRun(100, func() {
		if Decode(msg, &s) != nil || Decode(short, &s) != nil {
			t.Fatal("not decoded")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	msg := sample(1, 1).payload(attr(8, []byte{0}), attr(21, make([]byte, 8)), attr(22, make([]byte, 2)))
	var s tcpvet.Socket
	for b.Loop() {
		if err := Decode(msg, &s); err != nil {
			b.Fatal(err)
		}
	}
}
