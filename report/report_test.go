package report

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 999 * time.Millisecond: "999ms", time.Second: "1.0s", 9949 * time.Millisecond: "9.9s",
		10 * time.Second: "10s", 59 * time.Second: "59s", time.Minute: "1m00s", 187 * time.Second: "3m07s",
		133 * time.Minute: "2h13m", 124 * time.Hour: "5d04h",
	} {
		if got := string(appendDuration(nil, d)); got != want {
			t.Errorf("%s is printed as %s, want %s", d, got, want)
		}
	}
}

func list(t *testing.T, columns []Column, view View, sockets ...tcpvet.Socket) []string {
	t.Helper()
	var b bytes.Buffer
	l := NewList(&b, columns)
	l.View = view
	l.Head()
	for i := range sockets {
		if err := l.Socket(&sockets[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// A process chooses its name; what it chose must not reach the terminal's
// controls, nor move the columns.
func TestListIsSafe(t *testing.T) {
	p := tcpvet.Process{PID: 7, Start: 1}
	view := View{Holders: true, Processes: map[tcpvet.Process]tcpvet.ProcessInfo{p: {Comm: "a\x1b[2J\nb"}}}
	s := tcpvet.Socket{
		Known: tcpvet.FactQueues | tcpvet.FactInode, State: tcpvet.Established, Inode: 5, Holder: p,
		Local: netip.MustParseAddrPort("[2001:db8::1]:443"), Remote: netip.MustParseAddrPort("[2001:db8::2]:50000"),
	}
	lines := list(t, WideColumns, view, s)
	if len(lines) != 2 || strings.Contains(lines[1], "\x1b") || !strings.Contains(lines[1], "a?[2J?b[7]") {
		t.Errorf("printed %q", lines)
	}
}

// Nobody, a process that was not seen, and a question that was not asked are
// three answers.
func TestListHolders(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.1:443")
	sockets := []tcpvet.Socket{
		{Known: tcpvet.FactInode, State: tcpvet.TimeWait, Local: at, Remote: at},
		{Known: tcpvet.FactInode, State: tcpvet.Established, Inode: 9, Holder: tcpvet.Unseen, Local: at, Remote: at},
		{State: tcpvet.Established, Holder: tcpvet.Unseen, Local: at, Remote: at},
	}
	after := func(line string) string { return strings.TrimSpace(line[strings.LastIndex(line, ":443")+len(":443"):]) }
	lines := list(t, Columns, View{Holders: true}, sockets[:2]...)
	if !strings.Contains(lines[1], "nobody") || !strings.Contains(lines[2], "not seen") {
		t.Errorf("printed %q", lines)
	}
	for _, looked := range []bool{false, true} { // ss -p without -e names neither nobody nor who was not seen
		lines = list(t, Columns, View{Holders: looked}, sockets[2])
		if got := after(lines[1]); !strings.HasPrefix(got, "-") {
			t.Errorf("holders were looked for: %v, nothing tells whether there is one, and %q was printed", looked, got)
		}
	}
}

// Who closed what nobody holds is told as such, and counted apart from what it holds.
func TestFormer(t *testing.T) {
	at := netip.MustParseAddrPort("10.0.0.1:443")
	p, gone := tcpvet.Process{PID: 7, Start: 1}, tcpvet.Process{PID: 8, Start: 1}
	view := View{Holders: true, Processes: map[tcpvet.Process]tcpvet.ProcessInfo{
		p: {Comm: "app", Container: &tcpvet.Container{Name: "api"}}, gone: {Comm: "curl", Ended: true},
	}}
	var sockets []tcpvet.Socket
	for _, former := range []tcpvet.Process{p, gone, tcpvet.Several, tcpvet.Nobody} {
		sockets = append(sockets, tcpvet.Socket{Known: tcpvet.FactInode, State: tcpvet.TimeWait, Local: at, Remote: at, Former: former})
	}
	lines := list(t, Columns, view, sockets...)
	for i, want := range []string{"(app[7])", "(curl[8] ended)", "(several)", "nobody"} {
		if !strings.Contains(lines[i+1], want) || strings.Contains(lines[i+1], "api") != (i == 0) {
			t.Errorf("printed %q, want %q", lines[i+1], want)
		}
	}

	tally := func(n uint32) *tcpvet.Tally {
		t := new(tcpvet.Tally)
		t.States[tcpvet.TimeWait] = n
		return t
	}
	c := tcpvet.Census{Facts: tcpvet.FactHolders, Processes: view.Processes, Groups: map[tcpvet.Group]*tcpvet.Tally{
		{Holder: p}: tally(1), {Former: p}: tally(5), {Former: gone}: tally(4), {Former: tcpvet.Several}: tally(3), {}: tally(2),
	}}
	rows := Count(&c, []string{"process", "container"})
	var got []string
	for _, r := range rows.Rows {
		got = append(got, strings.Join(append(r.Text, vet.Count(r.Count)), " "))
	}
	if want := "(app[7]) api 5; (curl[8] ended) - 4; (several processes) - 3; nobody - 2; app[7] api 1"; strings.Join(got, "; ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	text, err := json.Marshal(rows.Document(&c))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"process":{"pid":7,"comm":"app","start":1,"held":"remembered"}`, `{"process":{"pid":8,"comm":"curl","start":1,"ended":true,"held":"remembered"}`,
		`{"process":{"pid":7,"comm":"app","start":1},`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for ap, want := range map[string]string{
		"10.0.0.1:80": "10.0.0.1:80", "0.0.0.0:0": "0.0.0.0:*", "[::]:0": "[::]:*", "[2001:db8::1]:443": "[2001:db8::1]:443",
		"[::ffff:10.0.0.1]:80": "[::ffff:10.0.0.1]:80", "[fe80::1]:22": "[fe80::1%7]:22",
	} {
		if got := string(endpoint(nil, netip.MustParseAddrPort(ap), 7)); got != want {
			t.Errorf("%s on link 7 is printed as %s, want %s", ap, got, want)
		}
	}
}

func TestListAllocatesNothing(t *testing.T) {
	p := tcpvet.Process{PID: 7, Start: 1}
	l := NewList(discard{}, WideColumns)
	l.View = View{Holders: true, Processes: map[tcpvet.Process]tcpvet.ProcessInfo{p: {Comm: "shop"}}}
	s := tcpvet.Socket{
		Known: tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactTimer | tcpvet.FactInfo, State: tcpvet.CloseWait, Inode: 5, Holder: p,
		Local: netip.MustParseAddrPort("10.0.0.1:443"), Remote: netip.MustParseAddrPort("10.0.0.2:50000"),
	}
	if n := testing.AllocsPerRun(1000, func() { l.Socket(&s) }); n > 0 {
		t.Errorf("%v allocations for a line", n)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func TestCount(t *testing.T) {
	a, b := tcpvet.Process{PID: 7, Start: 1}, tcpvet.Process{PID: 8, Start: 1}
	// Two containers of which the runtime tells no ID.
	pod := func(uid string) *tcpvet.Container { return &tcpvet.Container{Pod: uid} }
	db := netip.MustParseAddrPort("10.0.3.7:8080")
	tally := func(closeWait, estab uint32) *tcpvet.Tally {
		t := new(tcpvet.Tally)
		t.States[tcpvet.CloseWait], t.States[tcpvet.Established] = closeWait, estab
		return t
	}
	c := tcpvet.Census{
		Facts:     tcpvet.FactHolders,
		Processes: map[tcpvet.Process]tcpvet.ProcessInfo{a: {Comm: "shop", Container: pod("p1")}, b: {Comm: "shop", Container: pod("p2")}},
		Groups: map[tcpvet.Group]*tcpvet.Tally{
			{Holder: a, Role: tcpvet.Client, Service: db}:             tally(30, 2),
			{Holder: b, Role: tcpvet.Client, Service: db}:             tally(5, 0),
			{Holder: b, Role: tcpvet.Client}:                          tally(0, 4), // folded
			{Holder: tcpvet.Nobody, Role: tcpvet.Client, Service: db}: tally(0, 1),
		},
	}
	for by, want := range map[string][]string{
		"process,state": {"shop[7] CLOSE-WAIT 30", "shop[8] CLOSE-WAIT 5", "shop[8] ESTAB 4", "shop[7] ESTAB 2", "nobody ESTAB 1"},
		"container":     {"p1/ 32", "p2/ 9", "- 1"},
		"service":       {"10.0.3.7:8080 38", "other 4"},
	} {
		var got []string
		for _, r := range Count(&c, strings.Split(by, ",")).Rows {
			got = append(got, strings.Join(append(r.Text, vet.Count(r.Count)), " "))
		}
		if strings.Join(got, "; ") != strings.Join(want, "; ") {
			t.Errorf("by %s: %q, want %q", by, got, want)
		}
	}
}

func TestTextFitsAndIsWhole(t *testing.T) {
	f := tcpvet.Finding{
		Rule: "close-wait-leak", Severity: tcpvet.Critical, Certainty: tcpvet.Likely, Title: "shop[7]   to 10.0.3.7:8080",
		Detail:   []string{strings.Repeat("word ", 40) + "end."},
		Evidence: []tcpvet.Evidence{{What: "connections", Got: "40", Check: "ss -Htn state close-wait dst 10.0.3.7:8080 | wc -l"}},
		Remedies: []tcpvet.Remedy{
			tcpvet.Advise{Code: true, Text: "close it", Run: "tcpvet explain fix"},
			tcpvet.Destroy{State: tcpvet.CloseWait, Select: "--state close-wait dst 10.0.3.7:8080", Why: "frees ports"},
		},
	}
	c := tcpvet.Case{Now: tcpvet.Census{Source: "netlink", Sockets: 1234, Selected: 1234, Changed: 3, Gaps: []tcpvet.Gap{{What: "holders", Err: "denied", Needs: "root", Count: 12}}}}
	r := vet.Report{Findings: []tcpvet.Finding{f}, Skipped: []vet.Skipped{{Rule: "no-keepalive", Missing: tcpvet.FactInfo}}}
	var b bytes.Buffer
	if err := Text(&b, &c, r, Style{Width: 60}); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{
		"CRITICAL  close-wait-leak   shop[7]   to 10.0.3.7:8080\n", "  Likely: ", "see it      ss -Htn state close-wait dst 10.0.3.7:8080 | wc -l\n",
		"connections: 40\n", "in code     close it: tcpvet explain fix\n", "now         tcpvet fix close --state close-wait dst 10.0.3.7:8080\n",
		"(risk: changes-process)\n", "not judged: no-keepalive (lacks tcp-info)\n", "not seen: holders (12): denied; needs root\n",
		"1,234 sockets (3", "by netlink",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 60 && !strings.Contains(line, "ss -") && !strings.Contains(line, "tcpvet fix") {
			t.Errorf("over 60 columns: %q", line)
		}
	}
	b.Reset()
	if err := Text(&b, &c, vet.Report{Skipped: r.Skipped}, Style{}); err != nil || !strings.HasPrefix(b.String(), "nothing wrong was found by the rules that could be judged\n") {
		t.Errorf("with a rule skipped: %v, %q", err, b.String())
	}
	b.Reset()
	c.Now.Selected = 0
	if err := Text(&b, &c, vet.Report{}, Style{}); err != nil || !strings.HasPrefix(b.String(), "nothing wrong was found: no socket was selected\n") {
		t.Errorf("with none of %d sockets selected: %v, %q", c.Now.Sockets, err, b.String())
	}
}
