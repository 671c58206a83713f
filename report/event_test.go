package report

import (
	"bytes"
	"encoding/csv"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
)

var eventAt = time.Date(2026, 11, 29, 13, 42, 37, 311_648_000, time.UTC)

// fullEvent is one with everything that the table shows.
func fullEvent() tcpvet.Event {
	return tcpvet.Event{
		Kind: tcpvet.EventClose, At: eventAt, Netns: 4026532177, Cookie: 77, Process: tcpvet.Process{PID: 4121, Start: 5}, Comm: "python3", KnownBy: tcpvet.ByCookie,
		Container: &tcpvet.Container{ID: "0123456789abcdef", Name: "api", Pod: "web"}, Role: tcpvet.Client,
		Local: netip.MustParseAddrPort("10.0.0.1:41001"), Remote: netip.MustParseAddrPort("10.0.3.7:8080"),
		From: tcpvet.LastAck, To: tcpvet.Unconn, Took: 1234 * time.Millisecond, First: tcpvet.CloserRemote, How: tcpvet.HowFIN, CloseWait: 300 * time.Millisecond,
		Stack: []tcpvet.Frame{{Symbol: "main.leak", File: "/src/app.go", Line: 12, Module: "app"}, {Address: 0x4a12, Module: "libc.so.6", Certainty: tcpvet.Likely}},
	}
}

func eventLines(t *testing.T, o EventOptions, events ...tcpvet.Event) []string {
	t.Helper()
	var b bytes.Buffer
	l := NewEvents(&b, o)
	l.Head()
	for i := range events {
		if err := l.Event(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func TestEventColumns(t *testing.T) {
	e := fullEvent()
	want := []string{
		"Time          Event  Process               Container  Local                     Remote                 What",
		"13:42:37.311  close  python3[4121]         web/api    10.0.0.1:41001         >  10.0.3.7:8080          remote first, FIN, after 1.234 s, 300 ms in CLOSE-WAIT",
		"    main.leak /src/app.go:12 (app)",
		"    0x4a12? (libc.so.6)",
	}
	if got := eventLines(t, EventOptions{}, e); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	known := func(tcpvet.NetnsID) (tcpvet.Netns, bool) { return tcpvet.Netns{Names: []string{"blue"}}, true }
	wide := eventLines(t, EventOptions{Wide: true, Netns: known, Zone: time.FixedZone("", 3600)}, e)
	if got := strings.Fields(wide[1]); strings.Join(got[:16], " ") != "2026-11-29 14:42:37.311648 close python3[4121] web/api 10.0.0.1:41001 > 10.0.3.7:8080 blue 77 cookie LAST-ACK CLOSED remote first, FIN," {
		t.Errorf("wide: %q", got)
	}
	if got := eventLines(t, EventOptions{Color: true}, e)[1]; !strings.Contains(got, faint+"close"+plain) {
		t.Errorf("with colour: %q", got)
	}
}

// What stands in the last column, in the words of RFC 9293 and errno(3).
func TestEventWhat(t *testing.T) {
	const ms = time.Millisecond
	for want, e := range map[string]tcpvet.Event{
		"connected in 412 us": {Kind: tcpvet.EventOpen, Role: tcpvet.Client, Took: 412 * time.Microsecond},
		"accepted":            {Kind: tcpvet.EventOpen, Role: tcpvet.Server, Took: -1},
		"accepted in 2 ms":    {Kind: tcpvet.EventOpen, Role: tcpvet.Server, Took: 2 * ms},
		"connect() EADDRNOTAVAIL ports-exhausted after 4.1 ms, 3 times": {Kind: tcpvet.EventFail, Errno: 99, Cause: tcpvet.CausePortsExhausted, Took: 4100 * time.Microsecond, Count: 3},
		"connect() ETIMEDOUT timed-out after 2 min 14 s, 7 SYNs":        {Kind: tcpvet.EventFail, Errno: 110, Cause: tcpvet.CauseTimedOut, Took: 134 * time.Second, SYNs: 7},
		"connect() given up by the program after 3 s, 1 SYN":            {Kind: tcpvet.EventFail, Took: 3 * time.Second, SYNs: 1},
		"bind() EADDRINUSE":                    {Kind: tcpvet.EventFail, Call: tcpvet.CallBind, Errno: 98, Took: -1},
		"socket() errno 4095":                  {Kind: tcpvet.EventFail, Call: tcpvet.CallSocket, Errno: 4095, Took: -1},
		"ESTAB -> CLOSE-WAIT after 2 h 13 min": {Kind: tcpvet.EventState, From: tcpvet.Established, To: tcpvet.CloseWait, Took: 133 * time.Minute},
		"LAST-ACK -> CLOSED":                   {Kind: tcpvet.EventState, From: tcpvet.LastAck, To: tcpvet.Unconn, Took: -1},
		"local first, FIN, after 5 ms":         {Kind: tcpvet.EventClose, First: tcpvet.CloserLocal, How: tcpvet.HowFIN, Took: 5 * ms},
		"both at once, FIN, after 5 ms":        {Kind: tcpvet.EventClose, First: tcpvet.CloserBoth, How: tcpvet.HowFIN, Took: 5 * ms},
		"local first, RST":                     {Kind: tcpvet.EventClose, First: tcpvet.CloserLocal, How: tcpvet.HowRST, Took: -1, CloseWait: -1},
		"timed out, after 5 ms":                {Kind: tcpvet.EventClose, How: tcpvet.HowTimeout, Took: 5 * ms},
		"closed":                               {Kind: tcpvet.EventClose, Took: -1},
		"1,234 events lost: they came faster than they could be told": {Kind: tcpvet.EventLost, Count: 1234},
	} {
		if got := string(appendWhat(nil, &e)); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// Whatever a program calls itself, a line is a line.
func TestEventHostile(t *testing.T) {
	e := fullEvent()
	e.Comm, e.Container.Name, e.Stack[0].Symbol, e.Stack[0].File = "a\nb\x1b[2J", "c\rd", "x\ny", "\x00,\"\n"
	lines := eventLines(t, EventOptions{Wide: true}, e)
	if len(lines) != 4 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	for _, line := range lines {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) || !utf8.ValidString(line) {
			t.Errorf("%q", line)
		}
	}
}

// What is too wide for its column does not widen it without end.
func TestEventWide(t *testing.T) {
	e, short := fullEvent(), fullEvent()
	e.Container, e.Stack, short.Stack = &tcpvet.Container{ID: "x", Name: strings.Repeat("n", 300)}, nil, nil
	lines := eventLines(t, EventOptions{}, e, short)
	if n := len(lines[2]); n > 200 || !strings.Contains(lines[2], "web/api ") {
		t.Errorf("%d columns: %q", n, lines[2])
	}
}

func TestEventCSV(t *testing.T) {
	e, lost := fullEvent(), tcpvet.Event{Kind: tcpvet.EventLost, At: eventAt, Count: 12}
	e.Comm, e.Stack[0].Symbol = `a,"b`, "f(int, int)"
	var b bytes.Buffer
	l := NewEventCSV(&b)
	for _, err := range []error{l.Head(), l.Event(&e), l.Event(&lost), l.Flush()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`close|2026-11-29T13:42:37.311648Z|4026532177|77|4121|a,"b|5|cookie|web/api|client|10.0.0.1:41001|10.0.3.7:8080|||||LAST-ACK|UNCONN|1234|remote|fin|300|1|` +
			`f(int, int) /src/app.go:12 (app); 0x4a12? (libc.so.6)`,
		"lost|2026-11-29T13:42:37.311648Z||||||none||unknown|||||||||||||12|",
	} {
		if got := strings.Join(rows[i+1], "|"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestEventAllocs(t *testing.T) {
	e := fullEvent()
	fail := e
	fail.Kind, fail.Errno, fail.Cause, fail.Took = tcpvet.EventFail, 99, tcpvet.CausePortsExhausted, 70*time.Second
	for name, event := range map[string]func(*tcpvet.Event) error{
		"table": NewEvents(io.Discard, EventOptions{Zone: time.Local}).Event,
		"wide":  NewEvents(io.Discard, EventOptions{Wide: true, Zone: time.Local}).Event,
		"csv":   NewEventCSV(io.Discard).Event,
	} {
		if n := testing.AllocsPerRun(1000, func() { _ = event(&e); _ = event(&fail) }); n != 0 {
			t.Errorf("%s: an event allocates %v times", name, n/2)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	e := fullEvent()
	e.Stack = nil
	l := NewEvents(io.Discard, EventOptions{Zone: time.Local})
	for b.Loop() {
		_ = l.Event(&e)
	}
}
