package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/remedy"
)

func logOf() *remedy.Log {
	at := time.Date(2026, time.November, 29, 14, 12, 3, 0, time.UTC)
	entry := func(id string, e remedy.Entry) remedy.Entry {
		e.ID, e.At, e.Kind, e.Summary = id, at, tcpvet.KeepalivePlan, "4 sockets of 1 process"
		if e.Tally == nil {
			e.Tally = map[tcpvet.Outcome]int{}
		}
		return e
	}
	return &remedy.Log{Older: 2, Entries: []remedy.Entry{
		entry("a1", remedy.Entry{Recorded: true, Ended: true, Total: 4, Tally: map[tcpvet.Outcome]int{"applied": 3, "gone": 1}, Undone: []string{"a5"},
			Who: remedy.Who{User: "alice", TTY: "pts/3", From: "10.0.0.5"}}),
		entry("a2", remedy.Entry{}),
		entry("a3", remedy.Entry{Recorded: true, Total: 4, Tally: map[tcpvet.Outcome]int{"applied": 1}, Who: remedy.Who{UID: 7}}),
		entry("a4", remedy.Entry{Recorded: true, Total: 4, Running: true, Tally: map[tcpvet.Outcome]int{"applied": 1}}),
		entry("a5", remedy.Entry{Recorded: true, Ended: true, Total: 3, Undoes: "a1", Tally: map[tcpvet.Outcome]int{"undone": 3}}),
	}}
}

func TestLogTable(t *testing.T) {
	var b bytes.Buffer
	if err := logTable(&b, logOf().Entries, time.UTC); err != nil {
		t.Fatal(err)
	}
	want := `ID  Time                 Who                           What                               Outcome
a1  2026-11-29 14:12:03  alice (pts/3 from 10.0.0.5)   keepalive: 4 sockets of 1 process  3 applied, 1 gone, undone by a5
a2  2026-11-29 14:12:03  user 0                        keepalive: 4 sockets of 1 process  nothing was changed: it was not written down in full
a3  2026-11-29 14:12:03  user 7                        keepalive: 4 sockets of 1 process  1 applied, 3 interrupted: may or may not have been applied
a4  2026-11-29 14:12:03  user 0                        keepalive: 4 sockets of 1 process  1 applied, still running
a5  2026-11-29 14:12:03  user 0                        undo a1                            3 undone
`
	// The blanks between columns are the table's.
	squeeze := func(s string) (lines []string) {
		for line := range strings.Lines(s) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return lines
	}
	if got := strings.Join(squeeze(b.String()), "\n"); got != strings.Join(squeeze(want), "\n") {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestLogDocument(t *testing.T) {
	text, err := json.Marshal(journalOf(logOf()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"schema":"tcpvet/journal/v1","entries":[{"id":"a1","at":"2026-11-29T14:12:03Z","who":{"uid":0,"user":"alice","tty":"pts/3","from":"10.0.0.5","pid":0},` +
			`"kind":"keepalive","risk":"none","summary":"4 sockets of 1 process","undoes":null,"undone_by":["a5"],"recorded":true,"running":false,"changes":4,` +
			`"outcomes":{"applied":3,"gone":1},"unknown":0,"error":null}`,
		`"id":"a3","at":"2026-11-29T14:12:03Z","who":{"uid":7,"user":null,`, `"outcomes":{"applied":1},"unknown":3`, `"undoes":"a1","undone_by":[]`, `"older":2,"damage":null}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}
