package jsonv1_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// drawEvent gives any event that a trace could tell, and some that none should.
func drawEvent(t *rapid.T) *tcpvet.Event {
	s := drawSocket(t)
	span := rapid.Map(rapid.Int64Range(-1, 1<<50), func(n int64) time.Duration { return time.Duration(n) })
	e := &tcpvet.Event{
		Kind:    tcpvet.EventKind(rapid.IntRange(1, 5).Draw(t, "kind")),
		At:      time.Unix(0, rapid.Int64Range(0, 1<<61).Draw(t, "at")).In(time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600)),
		Netns:   s.Netns,
		Cookie:  rapid.Uint64().Draw(t, "cookie"),
		Process: s.Holder, Comm: drawText(t), KnownBy: tcpvet.KnownBy(rapid.IntRange(0, 2).Draw(t, "known by")),
		Role: s.Role, Local: s.Local, Remote: s.Remote,
		Call: tcpvet.Call(rapid.IntRange(0, 3).Draw(t, "call")), Errno: rapid.IntRange(0, 133).Draw(t, "errno"),
		Cause: tcpvet.Cause(rapid.IntRange(0, 16).Draw(t, "cause")), SYNs: rapid.Uint8().Draw(t, "syns"),
		From: rapid.SampledFrom(tcpvet.States[:]).Draw(t, "from"), To: tcpvet.State(rapid.SampledFrom([]tcpvet.State{0, tcpvet.Unconn, tcpvet.CloseWait}).Draw(t, "to")),
		Took: span.Draw(t, "took"), First: tcpvet.Closer(rapid.IntRange(0, 3).Draw(t, "first")), How: tcpvet.CloseHow(rapid.IntRange(0, 3).Draw(t, "how")),
		CloseWait: span.Draw(t, "close wait"), Count: rapid.Uint64().Draw(t, "count"),
	}
	switch rapid.IntRange(0, 3).Draw(t, "absent") {
	case 0:
		e.Local, e.Remote, e.At = netip.AddrPort{}, netip.AddrPort{}, time.Time{}
	case 1:
		e.Container = &tcpvet.Container{ID: drawText(t), Name: drawText(t), Pod: drawText(t)}
	case 2:
		e.Stack = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tcpvet.Frame {
			return tcpvet.Frame{
				Symbol: drawText(t), File: drawText(t), Line: rapid.IntRange(0, 1<<31-1).Draw(t, "line"), Module: drawText(t),
				Address: rapid.Uint64().Draw(t, "address"), Certainty: tcpvet.Certainty(rapid.IntRange(0, 1).Draw(t, "certainty")),
			}
		}), 0, 3).Draw(t, "stack")
	}
	return e
}

// AppendEvent writes what encoding/json writes.
func TestEventLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, l := drawEvent(t), drawLookup(t)
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(l.EventOf(e)); err != nil {
			t.Fatal(err)
		}
		line := append(l.AppendEvent(nil, e), '\n')
		if !bytes.Equal(line, want.Bytes()) {
			t.Fatalf("appended\n%sencoding/json makes it\n%s", line, want.Bytes())
		}
	})
}

// members reads a line as another program would.
func members(t *testing.T, e *tcpvet.Event) map[string]any {
	t.Helper()
	l := jsonv1.Lookup{Netns: func(id tcpvet.NetnsID) (tcpvet.Netns, bool) {
		return tcpvet.Netns{ID: id, Names: []string{"blue"}}, true
	}}
	var got map[string]any
	if err := json.Unmarshal(l.AppendEvent(nil, e), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// What is not known is null, and never a zero.
func TestEventMembers(t *testing.T) {
	at := time.Date(2026, 11, 29, 13, 42, 37, 311_648_000, time.UTC)
	local, remote := netip.MustParseAddrPort("10.0.0.1:41001"), netip.MustParseAddrPort("[2001:db8::1]:443")
	nothing := map[string]any{
		"schema": "tcpvet/event/v1", "at": "2026-11-29T13:42:37.311648Z", "cookie": nil, "process": nil, "process_known_by": "none", "container": nil,
		"netns": map[string]any{"inode": nil, "names": []any{"blue"}}, "role": "unknown", "local": nil, "remote": nil, "call": nil, "errno": nil, "cause": nil,
		"syns": nil, "from": nil, "to": nil, "ms": nil, "first": nil, "how": nil, "close_wait_ms": nil, "stack": nil, "count": 1.0,
	}
	for _, test := range []struct {
		name string
		e    tcpvet.Event
		want map[string]any
	}{
		{"lost", tcpvet.Event{Kind: tcpvet.EventLost, Count: 12}, map[string]any{"kind": "lost", "count": 12.0}},
		{"a close of which the begin was not seen", tcpvet.Event{Kind: tcpvet.EventClose, Took: -1, CloseWait: -1}, map[string]any{"kind": "close"}},
		{"a process of another PID namespace", tcpvet.Event{Kind: tcpvet.EventOpen, Took: -1, Process: tcpvet.Unseen, Comm: "x", KnownBy: tcpvet.ByTask, Container: &tcpvet.Container{ID: "x"}},
			map[string]any{"kind": "open"}},
		{"ports exhausted", tcpvet.Event{
			Kind: tcpvet.EventFail, Netns: 7, Cookie: 5, Process: tcpvet.Process{PID: 9, Start: 8}, Comm: "app", KnownBy: tcpvet.ByTask, Role: tcpvet.Client,
			Local: local, Remote: remote, Errno: 99, Cause: tcpvet.CausePortsExhausted, From: tcpvet.SynSent, To: tcpvet.Unconn, Took: 412_500, Count: 3,
		}, map[string]any{
			"kind": "fail", "netns": map[string]any{"inode": 7.0, "names": []any{"blue"}}, "cookie": 5.0, "process": map[string]any{"pid": 9.0, "comm": "app", "start": 8.0},
			"process_known_by": "task", "role": "client", "local": "10.0.0.1:41001", "remote": "[2001:db8::1]:443", "call": "connect", "errno": 99.0,
			"cause": "ports-exhausted", "from": "SYN-SENT", "to": "UNCONN", "ms": 0.4125, "count": 3.0,
		}},
		{"a close that never waited", tcpvet.Event{Kind: tcpvet.EventClose, Took: 5e6, First: tcpvet.CloserLocal, How: tcpvet.HowRST}, map[string]any{"kind": "close", "ms": 5.0, "first": "local", "how": "rst"}},
		{"given up", tcpvet.Event{Kind: tcpvet.EventFail, Call: tcpvet.CallConnect, SYNs: 2, Took: 3e9}, map[string]any{"kind": "fail", "call": "connect", "syns": 2.0, "ms": 3000.0}},
		{"a close", tcpvet.Event{
			Kind: tcpvet.EventClose, Took: 2e6, First: tcpvet.CloserRemote, How: tcpvet.HowFIN, CloseWait: 1e6, From: tcpvet.LastAck, To: tcpvet.Unconn,
			Stack: []tcpvet.Frame{{Symbol: "main.leak", File: "a.go", Line: 12, Module: "app", Address: 64}, {Address: 1, Certainty: tcpvet.Likely}},
		}, map[string]any{
			"kind": "close", "ms": 2.0, "first": "remote", "how": "fin", "close_wait_ms": 1.0, "from": "LAST-ACK", "to": "UNCONN", "stack": []any{
				map[string]any{"symbol": "main.leak", "file": "a.go", "line": 12.0, "module": "app", "address": 64.0, "certainty": "certain"},
				map[string]any{"symbol": nil, "file": nil, "line": nil, "module": nil, "address": 1.0, "certainty": "likely"},
			},
		}},
	} {
		want := make(map[string]any)
		for k, v := range nothing {
			want[k] = v
		}
		for k, v := range test.want {
			want[k] = v
		}
		test.e.At = at
		if diff := cmp.Diff(want, members(t, &test.e)); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", test.name, diff)
		}
	}
}

func TestEventLineAllocs(t *testing.T) {
	names := []string{"blue"}
	l := jsonv1.Lookup{Netns: func(id tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{ID: id, Names: names}, true }}
	e := &tcpvet.Event{
		Kind: tcpvet.EventClose, At: time.Now(), Process: tcpvet.Process{PID: 9, Start: 8}, Comm: "app", KnownBy: tcpvet.ByCookie, Container: &tcpvet.Container{ID: "abc"},
		Local: netip.MustParseAddrPort("10.0.0.1:41001"), Remote: netip.MustParseAddrPort("[2001:db8::1]:443"), Took: 2_100_000, CloseWait: 70 * time.Second,
	}
	buf := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { l.AppendEvent(buf, e) }); n != 0 {
		t.Errorf("writing allocates %v times", n)
	}
}

func BenchmarkEventLine(b *testing.B) {
	l := jsonv1.Lookup{Netns: func(id tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{}, false }}
	e := &tcpvet.Event{
		Kind: tcpvet.EventClose, At: time.Now(), Process: tcpvet.Process{PID: 9, Start: 8}, Comm: "app", KnownBy: tcpvet.ByCookie,
		Local: netip.MustParseAddrPort("10.0.0.1:41001"), Remote: netip.MustParseAddrPort("10.0.3.7:8080"), Took: 2_100_000, CloseWait: 70 * time.Second,
		Cookie: 1 << 30, Netns: 4026531840, From: tcpvet.LastAck, To: tcpvet.Unconn, First: tcpvet.CloserRemote, How: tcpvet.HowFIN,
	}
	buf := make([]byte, 0, 2048)
	for b.Loop() {
		l.AppendEvent(buf, e)
	}
}
