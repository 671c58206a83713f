package bpfiter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/tcpvet/tcpvet"
)

// The compiler knows how long its structs are.
func TestLengths(t *testing.T) {
	census, err := loadCensus()
	if err != nil {
		t.Fatal(err)
	}
	stream, err := loadStream()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		spec *ebpf.CollectionSpec
		name string
		want int
	}{
		{census, "record", recordLen}, {stream, "record", recordLen},
		{census, "group_key", groupKeyLen}, {census, "tally", tallyLen}, {census, "detail", detailLen},
		{census, "tuple_key", tupleKeyLen}, {census, "budget", budgetLen},
		{census, "space", spaceLen}, {census, "ports", portsLen},
		{census, "process_key", processKeyLen}, {stream, "process", processLen}, {census, "table_key", tableKeyLen},
	} {
		var s *btf.Struct
		if err := test.spec.Types.TypeByName(test.name, &s); err != nil {
			t.Errorf("struct %s: %v", test.name, err)
			continue
		}
		if int(s.Size) != test.want {
			t.Errorf("struct %s has %d bytes, the decoder reads %d", test.name, s.Size, test.want)
		}
	}
}

// offsets gives where the fields of a struct of the object lie.
func offsets(t testing.TB, name string) map[string]int {
	t.Helper()
	census, err := loadCensus()
	if err != nil {
		t.Fatal(err)
	}
	var s *btf.Struct
	if err := census.Types.TypeByName(name, &s); err != nil {
		t.Fatal(err)
	}
	at := make(map[string]int)
	for _, m := range s.Members {
		at[m.Name] = int(m.Offset.Bytes())
	}
	return at
}

// sample is a record in CLOSE-WAIT, written field by field where the compiler puts
// them.
func sample(t testing.TB) []byte {
	t.Helper()
	at := offsets(t, "record")
	b := make([]byte, recordLen)
	u32 := func(field string, v uint32) { binary.LittleEndian.PutUint32(b[at[field]:], v) }
	u64 := func(field string, v uint64) { binary.LittleEndian.PutUint64(b[at[field]:], v) }
	u64("cookie", 0x1122334455)
	u64("inode", 4711)
	u64("start", 99)
	u64("born", 990000001)
	u64("bytes_acked", 7)
	copy(b[at["local"]:], netip.MustParseAddr("::ffff:10.0.0.1").AsSlice())
	copy(b[at["remote"]:], netip.MustParseAddr("::ffff:10.0.3.7").AsSlice())
	u32("netns", 4026531840)
	u32("uid", 33)
	u32("recv_q", 1)
	u32("last_ack", 1500)
	u32("min_rtt", 1<<32-1)
	u32("rto", 51)
	u32("chrono", 250)
	u32("tgid", 4242)
	binary.LittleEndian.PutUint16(b[at["lport"]:], 40000)
	binary.LittleEndian.PutUint16(b[at["rport"]:], 8080)
	b[at["family"]], b[at["state"]] = familyIPv4, byte(tcpvet.CloseWait)
	b[at["timer"]], b[at["options"]], b[at["wscale"]] = byte(tcpvet.TimerKeepalive), 1, 0x97
	b[at["flags"]], b[at["role"]] = flagInfo, byte(tcpvet.Client)
	return b
}

func TestDecodeRecord(t *testing.T) {
	var r record
	if err := decodeRecord(sample(t), 250, &r); err != nil {
		t.Fatal(err)
	}
	s := r.Socket
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"state", s.State, tcpvet.CloseWait},
		{"local", s.Local, netip.MustParseAddrPort("10.0.0.1:40000")},
		{"remote", s.Remote, netip.MustParseAddrPort("10.0.3.7:8080")},
		{"holder", s.Holder, tcpvet.Process{PID: 4242, Start: 99}},
		{"born", r.born, uint64(990000001)},
		{"cookie", s.Cookie, uint64(0x1122334455)},
		{"inode", s.Inode, uint64(4711)},
		{"netns", s.Netns, tcpvet.NetnsID(4026531840)},
		{"uid", s.UID, uint32(33)},
		{"queue", s.RecvQ, uint32(1)},
		{"role", s.Role, tcpvet.Client},
		{"timer", s.Timer.Kind, tcpvet.TimerKeepalive},
		{"last ACK", s.Info.LastAckRecv, 1500 * time.Millisecond},
		{"bytes acked", s.Info.BytesAcked, uint64(7)},
		{"no RTT yet", s.Info.MinRTT, time.Duration(0)},
		{"RTO of 51 ticks of 4 ms", s.Info.RTO, 204 * time.Millisecond},
		{"busy for 250 ticks", s.Info.BusyTime, time.Second},
		{"scales", [2]uint8{s.Info.SndWScale, s.Info.RcvWScale}, [2]uint8{7, 9}},
		{"known", s.Known, tcpvet.FactInode | tcpvet.FactMini | tcpvet.FactTimer | tcpvet.FactQueues | tcpvet.FactUID | tcpvet.FactCookie | tcpvet.FactInfo},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", test.what, test.got, test.want)
		}
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	at := offsets(t, "record")
	for _, test := range []struct {
		field string
		value byte
	}{{"family", 1}, {"state", 0}, {"state", 7}, {"state", 12}, {"state", 14}, {"timer", 5}, {"role", 3}, {"flags", 64}} {
		b := sample(t)
		b[at[test.field]] = test.value
		if err := decodeRecord(b, 250, new(record)); err == nil {
			t.Errorf("%s %d was taken", test.field, test.value)
		}
	}
	if err := decodeRecord(sample(t)[1:], 250, new(record)); err == nil {
		t.Error("a short record was taken")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(sample(f))
	f.Add(make([]byte, recordLen))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		if err := decodeRecord(b, 250, &r); err != nil {
			return
		}
		s := &r.Socket
		if !s.Local.IsValid() || !s.Remote.IsValid() || !tcpvet.AllStates.Has(s.State) || s.Timer.Expires < 0 || s.Info.LastAckRecv < 0 {
			t.Errorf("record %x became %+v", b, s)
		}
		var tally tcpvet.Tally
		tally.Add(s)
	})
}

func FuzzDecodeTables(f *testing.F) {
	f.Add(make([]byte, groupKeyLen), make([]byte, tallyLen), make([]byte, detailLen), make([]byte, tupleKeyLen), make([]byte, budgetLen))
	f.Add([]byte{1}, []byte{}, []byte{2}, []byte{}, bytes.Repeat([]byte{1}, budgetLen))
	f.Fuzz(func(t *testing.T, group, tally, detail, tuple, budget []byte) {
		var x tcpvet.Tally
		if _, err := decodeGroup(group); err == nil && len(group) != groupKeyLen {
			t.Errorf("a group of %d bytes was taken", len(group))
		}
		if _, err := decodeTally(tally, &x); err == nil {
			if err := decodeDetail(detail, &x); err == nil {
				new(tcpvet.Tally).Merge(&x)
			}
		}
		if tu, err := decodeTuple(tuple); err == nil && tu.Local.Is4In6() {
			t.Errorf("tuple %v is not unmapped", tu)
		}
		_ = decodeBudget(budget, new(tcpvet.Budget))
		_, _, _ = decodeProcess(tuple, detail)
	})
}

// script is a reader that answers as it is told.
type script []answer

type answer struct {
	b   []byte
	err error
}

func (s *script) Read(p []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	a := (*s)[0]
	*s = (*s)[1:]
	return copy(p, a.b), a.err
}

// An iterator that wrote nothing for a million objects says EAGAIN and has more to
// tell; a read may end inside of a record.
func TestRecordsReadsOn(t *testing.T) {
	one := sample(t)
	r := &script{
		{nil, syscall.EAGAIN}, {one[:100], nil}, {one[100:], nil}, {nil, syscall.EAGAIN},
		{append(one[:recordLen:recordLen], one...), nil}, {nil, syscall.EINTR}, {nil, syscall.EAGAIN},
	}
	n := 0
	if err := records(t.Context(), r, make([]byte, 4096), 250, func(*record) error { n++; return nil }); err != nil || n != 3 {
		t.Errorf("%d records, %v; want 3", n, err)
	}
	r = &script{{one[:100], nil}}
	if err := records(t.Context(), r, make([]byte, 4096), 250, func(*record) error { return nil }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a record at the end: %v", err)
	}
	r = &script{{one, nil}, {nil, syscall.EIO}}
	if err := records(t.Context(), r, make([]byte, 4096), 250, func(*record) error { return nil }); !errors.Is(err, syscall.EIO) {
		t.Errorf("an error of the kernel: %v", err)
	}
	stop := errors.New("stop")
	r = &script{{one, nil}}
	if err := records(t.Context(), r, make([]byte, 4096), 250, func(*record) error { return stop }); err != stop {
		t.Errorf("an error of the caller: %v", err)
	}
}

// The edges are those that tcpvet.Spans tells by what it counts.
func TestSpanEdges(t *testing.T) {
	edges := spanEdges()
	if len(edges) != len(tcpvet.Spans{}) {
		t.Fatalf("%d edges, want %d", len(edges), len(tcpvet.Spans{}))
	}
	for i, e := range edges {
		var s tcpvet.Spans
		s.Add(time.Duration(e) * 100 * time.Millisecond)
		if s[i] != 1 {
			t.Errorf("edge %d, %d tenths of a second, counts as %v", i, e, s)
		}
	}
}

// A socket that several hold is told once, under the one that started first; a
// child of the same clock tick is not that.
func TestShared(t *testing.T) {
	var sh shared
	add := func(cookie uint64, pid int32, start, born uint64, flags uint8) {
		r := record{born: born, flags: flags}
		r.Cookie, r.Holder = cookie, tcpvet.Process{PID: pid, Start: start}
		sh.add(&r)
	}
	add(1, 30, 7, 703, flagShared)
	add(2, 30, 7, 703, flagShared)
	add(1, 30, 7, 703, flagShared) // another descriptor
	add(1, 90, 7, 701, flagShared)
	add(1, 10, 8, 800, flagShared|flagTold) // has inherited it meanwhile
	add(3, 10, 8, 800, flagShared|flagTold) // was told under its parent alone
	var got []tcpvet.Socket
	if err := sh.each(func(s *tcpvet.Socket) error { got = append(got, *s); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || sh.changed != 1 {
		t.Fatalf("%d sockets, %d changed: %+v; want 2 and 1", len(got), sh.changed, got)
	}
	a, b := got[0], got[1]
	if a.Holder.PID != 90 || len(a.SharedWith) != 2 || a.SharedWith[0].PID != 30 || a.SharedWith[1].PID != 10 {
		t.Errorf("holder %v, shared with %v; want 90, then 30 and 10", a.Holder, a.SharedWith)
	}
	if b.Holder.PID != 30 || b.SharedWith != nil {
		t.Errorf("holder %v, shared with %v; want 30 alone", b.Holder, b.SharedWith)
	}
}
