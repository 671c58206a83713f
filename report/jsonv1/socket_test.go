package jsonv1_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// texts holds what is hard to write as JSON.
var texts = []string{
	"nginx", "", `a"b\c`, "\x00\x1f\b\f\n\r\t", "\x7f<>&'", "日本語 \U0001f600", "\u2028\u2029\ufffd", "\xff\xfe half \xe6\x97", "a\xc3(",
}

func drawText(t *rapid.T) string {
	bytes := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })
	return rapid.OneOf(rapid.SampledFrom(texts), rapid.String(), bytes).Draw(t, "text")
}

// drawSocket gives any socket that a source could tell, in the units that lines
// have.
func drawSocket(t *rapid.T) *tcpvet.Socket {
	addr := func(name string) netip.AddrPort {
		port := rapid.Uint16().Draw(t, name+" port")
		if rapid.Bool().Draw(t, name+" is IPv4") {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, name))), port)
		}
		a := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, name))
		if rapid.Bool().Draw(t, name+" is mapped") {
			copy(a[:], netip.MustParseAddr("::ffff:0.0.0.0").AsSlice()[:12])
		}
		return netip.AddrPortFrom(netip.AddrFrom16(a), port)
	}
	ms := rapid.Map(rapid.Uint32(), func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond })
	us := rapid.Map(rapid.Int64Range(0, 1<<50), func(n int64) time.Duration { return time.Duration(n) * time.Microsecond })
	process := rapid.Custom(func(t *rapid.T) tcpvet.Process {
		return tcpvet.Process{PID: rapid.Int32Range(1, 1<<31-1).Draw(t, "pid"), Start: rapid.Uint64().Draw(t, "start")}
	})

	s := &tcpvet.Socket{
		Netns:  tcpvet.NetnsID(rapid.Uint64().Draw(t, "netns")),
		State:  rapid.SampledFrom(tcpvet.States[:]).Draw(t, "state"),
		Role:   rapid.SampledFrom([]tcpvet.Role{tcpvet.RoleUnknown, tcpvet.Client, tcpvet.Server}).Draw(t, "role"),
		Local:  addr("local"),
		Remote: addr("remote"),
	}
	has := func(f tcpvet.Facts) bool {
		if rapid.Bool().Draw(t, f.String()) {
			s.Known |= f
			return true
		}
		return false
	}
	if rapid.Bool().Draw(t, "one interface") {
		s.Interface = rapid.Uint32().Draw(t, "interface")
	}
	recv, send := tcpvet.FactQueues, tcpvet.FactQueues
	if s.State == tcpvet.Listen {
		recv, send = tcpvet.FactBacklog, tcpvet.FactBacklogMax
	}
	if has(recv) {
		s.RecvQ = rapid.Uint32().Draw(t, "recv")
	}
	if s.Known.Has(send) || send != recv && has(send) {
		s.SendQ = rapid.Uint32().Draw(t, "send")
	}
	if has(tcpvet.FactInode) {
		s.Inode = rapid.Uint64().Draw(t, "inode")
	}
	if has(tcpvet.FactUID) {
		s.UID = rapid.Uint32().Draw(t, "uid")
	}
	if has(tcpvet.FactCookie) {
		s.Cookie = rapid.Uint64().Draw(t, "cookie")
	}
	if has(tcpvet.FactCgroup) {
		s.Cgroup = rapid.Uint64().Draw(t, "cgroup")
	}
	if has(tcpvet.FactTimer) {
		s.Known |= tcpvet.FactMini
		s.Timer = tcpvet.Timer{
			Kind: tcpvet.TimerKind(rapid.IntRange(0, 4).Draw(t, "kind")), Expires: ms.Draw(t, "expires"), Retransmits: rapid.Uint8().Draw(t, "sent"),
		}
		s.Mini = s.Timer.Kind == tcpvet.TimerTimeWait
	}
	if has(tcpvet.FactMini) {
		s.Mini = rapid.Bool().Draw(t, "mini")
	}
	if has(tcpvet.FactInfo) {
		u32, u8 := rapid.Uint32(), rapid.Uint8()
		s.Info = tcpvet.TCPInfo{
			LastDataSent: ms.Draw(t, "1"), LastDataRecv: ms.Draw(t, "2"), LastAckRecv: ms.Draw(t, "3"),
			RTT: us.Draw(t, "4"), RTTVar: us.Draw(t, "5"), RTO: us.Draw(t, "6"), MinRTT: us.Draw(t, "7"),
			Unacked: u32.Draw(t, "8"), Lost: u32.Draw(t, "9"), Retrans: u32.Draw(t, "10"), TotalRetrans: u32.Draw(t, "11"),
			Backoff: u8.Draw(t, "12"), Probes: u8.Draw(t, "13"), SndCwnd: u32.Draw(t, "14"),
			BytesSent: rapid.Uint64().Draw(t, "15"), BytesAcked: rapid.Uint64().Draw(t, "16"), BytesReceived: rapid.Uint64().Draw(t, "17"),
			Timestamps: rapid.Bool().Draw(t, "18"), SACK: rapid.Bool().Draw(t, "19"), SndWScale: u8.Draw(t, "20"), RcvWScale: u8.Draw(t, "21"),
			SndMSS: u32.Draw(t, "22"), RcvMSS: u32.Draw(t, "23"), NotSent: u32.Draw(t, "24"),
			BusyTime: us.Draw(t, "25"), RwndLimited: us.Draw(t, "26"), SndBufLimited: us.Draw(t, "27"), DeliveryRateBytesS: rapid.Uint64().Draw(t, "28"),
		}
	}
	switch rapid.IntRange(0, 4).Draw(t, "held") {
	case 0:
		s.Holder = process.Draw(t, "holder")
		s.SharedWith = rapid.SliceOfN(process, 0, 3).Draw(t, "shared")
	case 1:
		s.Holder = tcpvet.Unseen
	case 2:
		s.Former = process.Draw(t, "former")
	case 3:
		s.Former = tcpvet.Several
	}
	return s
}

// drawLookup knows every process and namespace alike.
func drawLookup(t *rapid.T) jsonv1.Lookup {
	info := tcpvet.ProcessInfo{Comm: drawText(t), Ended: rapid.Bool().Draw(t, "ended")}
	if rapid.Bool().Draw(t, "in a container") {
		info.Container = &tcpvet.Container{ID: drawText(t), Name: drawText(t), Runtime: drawText(t), Pod: drawText(t)}
	}
	var names []string
	for range rapid.IntRange(0, 2).Draw(t, "names") {
		names = append(names, drawText(t))
	}
	return jsonv1.Lookup{
		Process: func(tcpvet.Process) (tcpvet.ProcessInfo, bool) { return info, true },
		Netns:   func(tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{Names: names}, true },
	}
}

// encoded is what encoding/json makes of the shape.
func encoded(t rapid.TB, l jsonv1.Lookup, s *tcpvet.Socket, holders bool) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l.SocketOf(s, holders)); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// AppendSocket writes what encoding/json writes, and DecodeSocket reads from it
// the socket that it was.
func TestSocketLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, l, holders := drawSocket(t), drawLookup(t), rapid.Bool().Draw(t, "holders")
		line := l.AppendSocket([]byte("before"), s, holders)
		if want := append([]byte("before"), encoded(t, l, s, holders)...); !bytes.Equal(line, want) {
			t.Fatalf("appended\n%s\nencoding/json makes it\n%s", line, want)
		}
		got := stale()
		if err := jsonv1.DecodeSocket(line[len("before"):], got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if diff := cmp.Diff(s, got, cmpopts...); diff != "" {
			t.Fatalf("written (-) and read (+):\n%s", diff)
		}
	})
}

var cmpopts = []cmp.Option{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b []tcpvet.Process) bool { return slices.Equal(a, b) }), // none is none, nil or not
}

// stale is a socket that held another one before: nothing of it may stay.
func stale() *tcpvet.Socket {
	return &tcpvet.Socket{
		Known: ^tcpvet.Facts(0), Netns: 9, State: tcpvet.Closing, Mini: true, Role: tcpvet.Server, Interface: 9, RecvQ: 9, SendQ: 9, Inode: 9,
		UID: 9, Cookie: 9, Cgroup: 9, Timer: tcpvet.Timer{Kind: 1, Expires: 9, Retransmits: 9}, Info: tcpvet.TCPInfo{RTT: 9},
		Holder: tcpvet.Process{PID: 9}, SharedWith: []tcpvet.Process{{PID: 9}}, Former: tcpvet.Process{PID: 9},
	}
}

// generic reads a line by encoding/json alone.
func generic(line []byte, s *tcpvet.Socket) error {
	var j jsonv1.Socket
	if err := json.Unmarshal(line, &j); err != nil {
		return err
	}
	return j.Socket(s)
}

// Whatever the line, DecodeSocket reads what encoding/json reads.
func FuzzDecodeSocket(f *testing.F) {
	l := jsonv1.Lookup{
		Process: func(tcpvet.Process) (tcpvet.ProcessInfo, bool) { return tcpvet.ProcessInfo{Comm: "app"}, true },
		Netns:   func(tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{}, false },
	}
	f.Add(l.AppendSocket(nil, sample(), true))
	former := sample()
	former.Holder, former.SharedWith, former.Former = tcpvet.Nobody, nil, tcpvet.Process{PID: 4121, Start: 987654}
	f.Add(l.AppendSocket(nil, former, true))
	former.Former = tcpvet.Several
	f.Add(l.AppendSocket(nil, former, true))
	f.Add([]byte(`{"schema":"tcpvet/socket/v1","state":"close_wait","local":"[fe80::1%eth0]:1","remote":"1.2.3.4:5"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var want tcpvet.Socket
		got := stale()
		errWant, errGot := generic(line, &want), jsonv1.DecodeSocket(line, got)
		if (errWant == nil) != (errGot == nil) {
			t.Fatalf("encoding/json: %v, DecodeSocket: %v", errWant, errGot)
		}
		if errWant != nil {
			return
		}
		if diff := cmp.Diff(&want, got, cmpopts...); diff != "" {
			t.Fatalf("encoding/json (-) and DecodeSocket (+):\n%s", diff)
		}
		if got.Timer.Expires < 0 || got.Info.RTT < 0 || got.Info.LastAckRecv < 0 {
			t.Fatalf("a time below 0: %+v %+v", got.Timer, got.Info)
		}
		if p := got.Former; !p.Known() && p != tcpvet.Nobody && p != tcpvet.Several || p != tcpvet.Nobody && got.Holder != tcpvet.Nobody {
			t.Fatalf("held by %+v and closed by %+v", got.Holder, p)
		}
		if p := got.Holder; !p.Known() && p != tcpvet.Nobody && p != tcpvet.Unseen {
			t.Fatalf("holder %+v", p)
		}
	})
}

// sample is a socket with everything that one can have.
func sample() *tcpvet.Socket {
	const all = tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactInfo |
		tcpvet.FactCgroup | tcpvet.FactMini
	return &tcpvet.Socket{
		Known: all, Netns: 4026532177, State: tcpvet.CloseWait, Role: tcpvet.Client,
		Local: netip.MustParseAddrPort("10.0.0.1:40001"), Remote: netip.MustParseAddrPort("10.0.3.7:8080"), Interface: 2,
		RecvQ: 1, SendQ: 0, Inode: 123456, UID: 1000, Cookie: 0x5001, Cgroup: 42,
		Timer: tcpvet.Timer{Kind: tcpvet.TimerKeepalive, Expires: 1250 * time.Millisecond, Retransmits: 1},
		Info: tcpvet.TCPInfo{
			LastDataSent: 61 * time.Second, LastDataRecv: 60 * time.Second, LastAckRecv: 59 * time.Second,
			RTT: 1234 * time.Microsecond, RTO: 200 * time.Millisecond, SndCwnd: 10, BytesAcked: 1 << 40, Timestamps: true, SACK: true,
			SndWScale: 7, RcvWScale: 7, SndMSS: 1448, RcvMSS: 536,
		},
		Holder: tcpvet.Process{PID: 4121, Start: 987654}, SharedWith: []tcpvet.Process{{PID: 4122, Start: 987660}, {PID: 4123, Start: 987661}},
	}
}

// The fast way is taken: a line as it is written costs no allocation, and
// writing it none either.
func TestSocketLineAllocs(t *testing.T) {
	s := sample()
	l := jsonv1.Lookup{
		Process: func(tcpvet.Process) (tcpvet.ProcessInfo, bool) { return tcpvet.ProcessInfo{Comm: "app"}, true },
		Netns:   func(tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{}, false },
	}
	line := l.AppendSocket(nil, s, true)
	buf := make([]byte, 0, 2*len(line))
	if n := testing.AllocsPerRun(100, func() { l.AppendSocket(buf, s, true) }); n != 0 {
		t.Errorf("writing allocates %v times", n)
	}
	var got tcpvet.Socket
	got.SharedWith = make([]tcpvet.Process, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		if err := jsonv1.DecodeSocket(line, &got); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("reading allocates %v times", n)
	}
}

func TestDecodeSocketFaults(t *testing.T) {
	ok := `{"schema":"tcpvet/socket/v1","state":"ESTAB","local":"10.0.0.1:1","remote":"10.0.0.2:2"`
	for _, line := range []string{
		`{`, `null x`, ok, ok + `,"process":{"pid":0,"comm":"x","start":1}}`, ok + `,"shared_with":[{"pid":-1}]}`,
		ok + `,"timer":{"kind":"sand"}}`, ok + `,"uid":-1}`, ok + `,"uid":4294967296}`, ok + `,"state":"OPEN"}`, ok + `,"local":"10.0.0.1"}`, ok + `,"remote":""}`,
	} {
		if err := jsonv1.DecodeSocket([]byte(line), stale()); err == nil {
			t.Errorf("no error for %s", line)
		}
	}
	s := stale()
	if err := jsonv1.DecodeSocket([]byte(ok+`,"later":{"than":["this"]},"timer":{"kind":"on","expires_ms":9223372036854775807}}`), s); err != nil {
		t.Errorf("a member of a later version: %v", err)
	} else if s.Timer.Expires < time.Hour {
		t.Errorf("the timer ends in %v", s.Timer.Expires)
	}
}

// The appender and the shape say "unknown" where nobody looked for holders, or
// nothing tells whether there is one, and a line keeps Nobody and Unseen apart.
func TestHeld(t *testing.T) {
	var l jsonv1.Lookup
	l.Netns = func(tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{}, false }
	l.Process = func(tcpvet.Process) (tcpvet.ProcessInfo, bool) { return tcpvet.ProcessInfo{}, false }
	for _, test := range []struct {
		holder  tcpvet.Process
		looked  bool
		inode   tcpvet.Facts
		want    string
		becomes tcpvet.Process
	}{
		{tcpvet.Nobody, true, tcpvet.FactInode, "nobody", tcpvet.Nobody},
		{tcpvet.Nobody, false, tcpvet.FactInode, "nobody", tcpvet.Nobody},
		{tcpvet.Unseen, true, tcpvet.FactInode, "unseen", tcpvet.Unseen},
		{tcpvet.Unseen, true, 0, "unknown", tcpvet.Unseen}, // or nobody
		{tcpvet.Unseen, false, tcpvet.FactInode, "unknown", tcpvet.Unseen},
	} {
		s := sample()
		s.Known = s.Known&^tcpvet.FactInode | test.inode
		s.Holder, s.SharedWith = test.holder, nil
		line := l.AppendSocket(nil, s, test.looked)
		if !bytes.Contains(line, []byte(`"held":"`+test.want+`"`)) {
			t.Errorf("%v: %s, want %s", test.holder, line, test.want)
		}
		var got tcpvet.Socket
		if err := jsonv1.DecodeSocket(line, &got); err != nil || got.Holder != test.becomes {
			t.Errorf("%v is read as %v: %v", test.holder, got.Holder, err)
		}
	}
	for _, former := range []tcpvet.Process{{PID: 4121, Start: 987654}, tcpvet.Several} {
		s := sample()
		s.Holder, s.SharedWith, s.Former = tcpvet.Nobody, nil, former
		line := l.AppendSocket(nil, s, true)
		var got tcpvet.Socket
		if err := jsonv1.DecodeSocket(line, &got); err != nil || !bytes.Contains(line, []byte(`"held":"remembered"`)) || got.Holder != tcpvet.Nobody || got.Former != former {
			t.Errorf("closed by %v: %s is read as held by %v, closed by %v: %v", former, line, got.Holder, got.Former, err)
		}
	}
}
