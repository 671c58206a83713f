package report_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// leaking is a look at two programs, one of which leaks from two lines.
func leaking() *tcpvet.Leaks {
	app, server := tcpvet.Process{PID: 4121, Start: 5}, tcpvet.Process{PID: 88, Start: 6}
	service := netip.MustParseAddrPort("10.0.3.7:8080")
	lib := func(symbol, file string, line int) tcpvet.Frame {
		return tcpvet.Frame{Symbol: symbol, File: "/usr/local/go/src/" + file, Line: line, Module: "app"}
	}
	dial := []tcpvet.Frame{lib("syscall.Connect", "syscall/syscall_unix.go", 300), lib("net.(*Dialer).Dial", "net/dial.go", 505), lib("net.Dial", "net/dial.go", 472)}
	own := func(symbol string, line int) tcpvet.Frame {
		return tcpvet.Frame{Symbol: symbol, File: "/src/leak.go", Line: line, Module: "app"}
	}
	age := func(d time.Duration) tcpvet.Age { return tcpvet.Age{Low: d, High: d, By: "traced"} }
	return &tcpvet.Leaks{
		OlderThan: time.Minute, Younger: 3, Traced: 10 * time.Minute,
		Census: tcpvet.Census{
			Taken: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Source: "netlink", Facts: tcpvet.FactHolders,
			Processes: map[tcpvet.Process]tcpvet.ProcessInfo{
				app:    {Comm: "app", Container: &tcpvet.Container{ID: "0123456789abcdef", Name: "api-7f9"}},
				server: {Comm: "python3", Exe: "python3.11", Args: []string{"python3", "serve.py"}},
			},
			Gaps: []tcpvet.Gap{{What: "stacks of accept()", Err: "no tracefs", Needs: "CAP_SYS_ADMIN"}},
		},
		Groups: []tcpvet.Leak{
			{
				Process: app, Role: tcpvet.Client, Service: service, Count: 1200, Oldest: age(130 * time.Second), KnownBy: tcpvet.StackConnect,
				Stack: append(dial[:3:3], own("main.leak", 12), own("main.work", 30)), Creator: []tcpvet.Frame{own("main.main", 41)}, Thread: "app",
			},
			{
				Process: app, Role: tcpvet.Client, Service: service, Count: 7, Unsure: 2, KnownBy: tcpvet.StackConnect,
				Oldest: tcpvet.Age{Low: 5 * time.Second, High: 90 * time.Second, By: tcpvet.AgeLastAckOrData},
				Stack:  append(dial[:3:3], lib("net/http.(*Transport).dialConn", "net/http/transport.go", 1)), Note: "A transport opened them", Thread: "other",
				Advice: "start it so", Cut: true,
			},
			{
				Process: app, Role: tcpvet.Client, Service: service, Count: 3, KnownBy: tcpvet.StackConnect, Opener: server, Thread: "python3",
				Stack: []tcpvet.Frame{{Symbol: "connect", Module: "libc.so.6"}, {Symbol: "pool_get", File: "pool.c", Line: 9, Module: "app", Certainty: tcpvet.Likely}},
			},
			{Process: server, Role: tcpvet.Server, Service: netip.MustParseAddrPort("[::1]:80"), Count: 2, Oldest: age(time.Hour), KnownBy: tcpvet.StackUntraced},
			{Process: tcpvet.Unseen, Role: tcpvet.Client, Count: 1, KnownBy: tcpvet.StackBefore},
		},
	}
}

func TestLeaks(t *testing.T) {
	const want = `1,200 in CLOSE-WAIT   app[4121]   container api-7f9   to 10.0.3.7:8080
  The peer closed the oldest 2 min 10 s ago.
  Opened, innermost call first:
      net.Dial /usr/local/go/src/net/dial.go:472 (app), and 2 inside
    > main.leak /src/leak.go:12 (app)
      main.work /src/leak.go:30 (app)
  Its goroutine was started at main.main /src/leak.go:41 (app)
    in code     tcpvet explain fix go
                close what was opened, also where an error ends the work early

7 in CLOSE-WAIT   app[4121]   container api-7f9   to 10.0.3.7:8080
  The peer closed the oldest between 5 s and 1 min 30 s ago. 2 may be so for less than 1 min.
  Opened in thread other, innermost call first:
      syscall.Connect /usr/local/go/src/syscall/syscall_unix.go:300 (app)
      net.(*Dialer).Dial /usr/local/go/src/net/dial.go:505 (app)
      net.Dial /usr/local/go/src/net/dial.go:472 (app)
      net/http.(*Transport).dialConn /usr/local/go/src/net/http/transport.go:1 (app)
      … it is deeper than what was kept
  A transport opened them.
  start it so.

3 in CLOSE-WAIT   app[4121]   container api-7f9   to 10.0.3.7:8080
  Opened by another process, python3[88], in thread python3, innermost call first (? is likely: found on the stack, without frame pointers):
      connect (libc.so.6)
    > pool_get? pool.c:9 (app)

2 in CLOSE-WAIT   python3[88] serve.py   accepted at [::1]:80
  The peer closed the oldest 1 h ago.
  Accepted before the trace began, or in a way that it does not see.
    in code     tcpvet explain fix python
                close what was opened, also where an error ends the work early

1 in CLOSE-WAIT   nobody, or a process that could not be seen   to other
  Opened before the trace began: only what is opened while it runs has a stack.

1,213 connections in CLOSE-WAIT for 1 min or longer, in 5 groups, and 3 for less; openings were watched for 10 min
not seen: stacks of accept(): no tracefs; needs CAP_SYS_ADMIN
`
	var b strings.Builder
	if err := report.Leaks(&b, leaking(), report.Style{}, false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

// All frames are there where all are asked for, and nothing of a program's own words
// reaches the terminal as it is.
func TestLeaksWhole(t *testing.T) {
	l := leaking()
	l.Groups[0].Stack[3].Symbol = "main.\x1b[31mleak"
	l.Groups[0].Thread = "\x1b]0;x"
	var b strings.Builder
	if err := report.Leaks(&b, l, report.Style{Color: true, Width: 60}, true); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"syscall.Connect", "net.(*Dialer).Dial", "net.Dial", "\x1b[1mmain.?[31mleak"} {
		if !strings.Contains(b.String(), word) {
			t.Errorf("no %q in\n%s", word, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b[31m") || strings.Contains(b.String(), "\x1b]") {
		t.Errorf("a program's name paints the terminal:\n%q", b.String())
	}
}

func TestLeaksDocument(t *testing.T) {
	b, err := json.Marshal(jsonv1.LeaksOf(leaking()))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Schema, Taken, Source string
		OlderThanMS           int64  `json:"older_than_ms"`
		TracedMS              *int64 `json:"traced_ms"`
		Total, Younger        uint64
		Groups                []map[string]any
		Gaps                  []jsonv1.Gap
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != "tcpvet/leaks/v1" || doc.Taken != "2026-01-02T03:04:05Z" || doc.Total != 1213 || doc.Younger != 3 ||
		doc.OlderThanMS != 60000 || doc.TracedMS == nil || *doc.TracedMS != 600000 || len(doc.Gaps) != 1 || len(doc.Groups) != 5 {
		t.Fatalf("got %s", b)
	}
	for i, want := range []map[string]any{
		{"count": 1200., "unsure": 0., "service": "10.0.3.7:8080", "role": "client", "oldest_ms": 130000., "oldest_at_most_ms": 130000.,
			"stack_known_by": "connect", "own": 3., "stack_cut": false, "opened_by": nil, "thread": "app", "note": nil, "advice": nil},
		{"count": 7., "unsure": 2., "oldest_ms": 5000., "oldest_at_most_ms": 90000., "own": nil, "stack_cut": true, "created_by": nil,
			"note": "A transport opened them", "advice": "start it so"},
		{"count": 3., "oldest_ms": nil, "oldest_at_most_ms": nil, "own": 1., "opened_by": map[string]any{"pid": 88., "comm": "python3", "start": 6.}},
		{"count": 2., "service": "[::1]:80", "role": "server", "stack": nil, "stack_known_by": "untraced", "container": nil, "thread": nil},
		{"count": 1., "service": "other", "process": nil, "stack": nil, "stack_known_by": "before"},
	} {
		for name, value := range want {
			got, there := doc.Groups[i][name]
			if d := cmp.Diff(value, got); d != "" || !there {
				t.Errorf("group %d, %s: %s", i, name, d)
			}
		}
	}
	if n := len(doc.Groups[0]["stack"].([]any)); n != 5 {
		t.Errorf("%d frames, want 5", n)
	}
	// Nothing watched is null, and no group an empty list.
	b, err = json.Marshal(jsonv1.LeaksOf(&tcpvet.Leaks{}))
	if err != nil || !strings.Contains(string(b), `"traced_ms":null`) || !strings.Contains(string(b), `"groups":[]`) {
		t.Errorf("%s, %v", b, err)
	}
}
