package trace

import (
	"encoding/binary"
	"math"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tcpvet/tcpvet"
)

// layout is struct event in bpf/event.h.
type layout struct {
	At, Cookie, Took, InFrom, CloseWait, Start                    uint64
	PID                                                           int32
	Pad0                                                          uint32
	Comm                                                          [16]byte
	Local, Remote                                                 [16]byte
	Netns                                                         uint32
	TID                                                           int32
	LocalPort, RemotePort, Error                                  uint16
	Kinds, Call, KnownBy, Role, From, To, First, How, Cause, SYNs uint8
	Flags                                                         uint8
	Pad                                                           [7]byte
}

func (l *layout) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, l)
	must(t, err)
	return b
}

// A record of everything at once: the events that it is, and all their fields.
func TestRecordEvents(t *testing.T) {
	l := layout{
		At: 5e9, Cookie: 77, Took: 1500, InFrom: 800, CloseWait: math.MaxUint64, Start: 1234, PID: 42, Comm: [16]byte{'w', 'g', 'e', 't'},
		Local: netip.MustParseAddr("::ffff:10.0.0.1").As16(), Remote: netip.MustParseAddr("fd00::7").As16(), Netns: 4026531840,
		LocalPort: 40000, RemotePort: 443, Error: 104, Kinds: uint8(allKinds), Call: 1, KnownBy: 2, Role: 1, From: 1, To: 7, First: 2, How: 2, SYNs: 3, Flags: flagPeerReset,
	}
	var r record
	must(t, decodeRecord(l.bytes(t), &r))
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	common := tcpvet.Event{
		At: at, Netns: 4026531840, Cookie: 77, Process: tcpvet.Process{PID: 42, Start: 1234}, Comm: "wget", KnownBy: tcpvet.ByCookie, Role: tcpvet.Client,
		Local: netip.MustParseAddrPort("10.0.0.1:40000"), Remote: netip.MustParseAddrPort("[fd00::7]:443"), Call: tcpvet.CallBind,
		From: tcpvet.Established, To: tcpvet.Unconn, Took: 1500,
	}
	state, open, fail, shut := common, common, common, common
	state.Kind, state.Took = tcpvet.EventState, 800
	open.Kind = tcpvet.EventOpen
	fail.Kind, fail.Errno, fail.Cause, fail.SYNs = tcpvet.EventFail, 104, tcpvet.CauseReset, 3
	shut.Kind, shut.First, shut.How, shut.CloseWait, shut.Cause = tcpvet.EventClose, tcpvet.CloserRemote, tcpvet.HowRST, -1, tcpvet.CauseReset
	var got []tcpvet.Event
	r.event.Comm = "wget"
	must(t, r.events(at, func(e *tcpvet.Event) error {
		got = append(got, *e)
		return nil
	}))
	if diff := cmp.Diff([]tcpvet.Event{state, open, fail, shut}, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
}

// What cannot be is an error that says what.
func TestRecordRefused(t *testing.T) {
	for what, change := range map[string]func(*layout){
		"time":           func(l *layout) { l.At = math.MaxUint64 },
		"is no time":     func(l *layout) { l.Took = 1 << 63 },
		"kinds 0x0":      func(l *layout) { l.Kinds = 0 },
		"kinds 0x10":     func(l *layout) { l.Kinds = 0x10 },
		"kinds 0x81":     func(l *layout) { l.Kinds = amends | 1 },
		"call 4":         func(l *layout) { l.Call = 4 },
		"known by 3":     func(l *layout) { l.KnownBy = 3 },
		"role 3":         func(l *layout) { l.Role = 3 },
		"from state 12":  func(l *layout) { l.From = 12 },
		"to 13":          func(l *layout) { l.To = 13 },
		"first 4":        func(l *layout) { l.First = 4 },
		"how 4":          func(l *layout) { l.How = 4 },
		"cause 17":       func(l *layout) { l.Cause = 17 },
		"errno 4096":     func(l *layout) { l.Error = 4096 },
		"flags 0x2":      func(l *layout) { l.Flags = 2 },
		"PID -2":         func(l *layout) { l.PID = -2 },
		"with start 1":   func(l *layout) { l.Start = 1 },
		"":               func(*layout) {},
		"135 bytes, not": nil,
	} {
		l := layout{Kinds: uint8(Opens)}
		b := l.bytes(t)
		if change == nil {
			b = b[1:]
		} else {
			change(&l)
			b = l.bytes(t)
		}
		var r record
		if err := decodeRecord(b, &r); (err == nil) != (what == "") || err != nil && !strings.Contains(err.Error(), what) {
			t.Errorf("%q: got %v", what, err)
		}
	}
}

// The numbers of causes and of the counts are those of the C headers.
func TestRecordNumbers(t *testing.T) {
	text, err := os.ReadFile("bpf/changes.bpf.c")
	must(t, err)
	for name, want := range map[string]tcpvet.Cause{"PORTS_EXHAUSTED": tcpvet.CausePortsExhausted, "TUPLE_EXISTS": tcpvet.CauseTupleExists} {
		m := regexp.MustCompile(name + ` = (\d+)`).FindSubmatch(text)
		if m == nil || string(m[1]) != string('0'+rune(want)) {
			t.Errorf("%s is %s, want %d", name, m, want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add((&layout{Kinds: uint8(allKinds), From: 1, To: 7}).bytes(f))
	f.Add((&layout{Kinds: uint8(Fails), Call: 1, Error: 98}).bytes(f))
	f.Add((&layout{Kinds: amends, Cookie: 1, Error: 111}).bytes(f))
	batch := newBatch()
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		if decodeRecord(b, &r) != nil {
			return
		}
		n := 0
		err := r.events(time.Unix(0, r.at), func(e *tcpvet.Event) error {
			n++
			if e.Kind == 0 || e.Kind == tcpvet.EventLost || e.Kind.String() == "unknown" {
				t.Errorf("kind %d", e.Kind)
			}
			if e.Took < -1 || e.CloseWait < -1 || e.Process.PID < -1 || e.Local.Addr().Is4In6() || e.Remote.Addr().Is4In6() {
				t.Errorf("%+v", e)
			}
			return nil
		})
		if err != nil || (n == 0) != r.amends {
			t.Errorf("%d events, %v", n, err)
		}
		// The same bytes in a batch.
		batch.records = append(batch.records, b...)
		if lacking := batch.learn(); lacking < 0 || lacking > 1 {
			t.Errorf("%d of one record lack a process", lacking)
		}
		batch.name(&r)
		batch.end()
	})
}

func FuzzAdopted(f *testing.F) {
	f.Add(make([]byte, adoptedLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		cookie, who, err := decodeAdopted(b)
		if err == nil && (cookie == 0 || !who.process.Known()) {
			t.Errorf("cookie %d of %v", cookie, who)
		}
	})
}
