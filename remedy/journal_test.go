package remedy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tcpvet/tcpvet"
)

// samples are changes of each kind.
func samples() []tcpvet.Change {
	timers := tcpvet.Timers{Keepalive: true, Idle: 30 * time.Second, Interval: 3 * time.Second, Count: 5, UserTimeout: 45500 * time.Millisecond}
	return []tcpvet.Change{
		{
			Target: tcpvet.Target{
				Netns: 4026531833, Cookie: 1 << 62, Inode: 77, State: tcpvet.CloseWait, Role: tcpvet.Client,
				Local: netip.MustParseAddrPort("[fe80::1%eth0]:40000"), Remote: netip.MustParseAddrPort("10.0.3.7:8080"),
				Holder: tcpvet.Process{PID: 4121, Start: 99}, Comm: "python3 \"x\"\n",
			},
			Before: tcpvet.Value{Timers: tcpvet.Timers{Idle: 2 * time.Hour, Interval: 75 * time.Second, Count: 9}},
			After:  tcpvet.Value{Timers: timers},
		},
		{Target: tcpvet.Target{Cookie: 3, State: tcpvet.TimeWait}, Before: tcpvet.Value{State: tcpvet.TimeWait}, After: tcpvet.Value{State: tcpvet.Unconn}},
		{Target: tcpvet.Target{Netns: 1, Setting: "net.ipv4.tcp_tw_reuse"}, Before: tcpvet.Value{Text: "2"}, After: tcpvet.Value{Text: "1"}},
		{Target: tcpvet.Target{Setting: "a.b.c", File: "/etc/x.conf"}, Before: tcpvet.Value{Absent: true}, After: tcpvet.Value{Text: "1"}},
		{Target: tcpvet.Target{Run: "r1"}, Before: tcpvet.Value{Absent: true}, After: tcpvet.Value{Timers: timers, Text: "pool 10.0.0.1"}},
	}
}

// written gives the lines of a set, as begin writes them.
func written(t testing.TB, id, undoes string, changes []tcpvet.Change, more ...record) []byte {
	t.Helper()
	records := []record{{Begin: &beginRecord{Schema: journalSchema, ID: id, At: time.Unix(1e9, 0).UTC(), Boot: "b", Kind: "sysctl", Risk: 3, Undoes: undoes, Summary: "s"}}}
	for n := range changes {
		records = append(records, record{Change: recordOf(id, n, &changes[n])})
	}
	records = append(records, record{Recorded: &recordedRecord{id, len(changes)}})
	var b []byte
	var err error
	for _, r := range append(records, more...) {
		if b, err = appendRecord(b, r); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func outcomes(id string, of ...outcomeOfOne) record {
	return record{Outcome: &outcomeRecord{id, of}}
}

// What is written down is what is read.
func TestJournalKeepsChanges(t *testing.T) {
	want := samples()
	b := written(t, "x-1", "", want, outcomes("x-1", outcomeOfOne{N: 2, Outcome: "applied", After: &valueRecord{Text: "0"}}, outcomeOfOne{N: 0, Outcome: "gone", Reason: "why"}))
	want[0].Outcome, want[0].Reason = tcpvet.OutcomeGone, "why"
	want[2].Outcome, want[2].After.Text = tcpvet.OutcomeApplied, "0"
	got, missing, err := readChanges(bytes.NewReader(b), "x-1")
	if err != nil || missing != 0 {
		t.Fatal(err, missing)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

// Each line may be cut or lost: what is whole is read, and the rest is told of.
func TestJournalDamage(t *testing.T) {
	whole := written(t, "x-1", "", samples(), outcomes("x-1", outcomeOfOne{N: 0, Outcome: "applied"}), record{End: &endRecord{ID: "x-1"}})
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lines = lines[:len(lines)-1]
	join := func(l [][]byte) []byte { return bytes.Join(l, nil) }
	with := func(i int, line string) []byte {
		l := append([][]byte{}, lines...)
		l[i] = []byte(line)
		return join(l)
	}
	for _, test := range []struct {
		name                      string
		b                         []byte
		entries, damaged, missing int
		torn                      bool
		recorded, ended           bool
	}{
		{"whole", whole, 1, 0, 0, false, true, true},
		{"torn end", whole[:len(whole)-5], 1, 1, 0, true, true, false},
		{"last newline missing", whole[:len(whole)-1], 1, 1, 0, true, true, false},
		{"cut before it was recorded", join(lines[:4]), 1, 0, 0, false, false, false},
		{"a change lost", with(3, ""), 1, 0, 1, false, true, true},
		{"a change damaged", with(3, "{\"change\":{\"id\":\"x-1\",\"n\":2,\n"), 1, 0, 1, false, true, true},
		{"an empty line", with(3, "\n"), 1, 0, 1, false, true, true},
		{"nul bytes", with(len(lines)-1, strings.Repeat("\x00", 50)+"\n"), 1, 1, 0, false, true, false},
		{"a line without end", append(whole, bytes.Repeat([]byte("x"), maxLine+2)...), 1, 1, 0, false, true, true},
		{"a line too long, and more", append(append(bytes.Repeat([]byte("x"), maxLine+2), '\n'), whole...), 1, 1, 0, false, true, true},
		{"no begin", join(lines[1:]), 0, 0, 0, false, false, false},
		{"another schema", with(0, strings.Replace(string(lines[0]), "/v1", "/v2", 1)), 0, 1, 0, false, false, false},
		{"an ID that is no word", with(0, strings.Replace(string(lines[0]), "x-1", "x;1", 1)), 0, 1, 0, false, false, false},
		{"two in one line", with(len(lines)-1, `{"end":{"id":"x-1"},"recorded":{"id":"x-1","changes":3}}`+"\n"), 1, 1, 0, false, true, false},
	} {
		log, err := readLog(bytes.NewReader(test.b), 10, "b", nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if len(log.Entries) != test.entries || log.Damage.Lines != test.damaged || log.Damage.Torn != test.torn {
			t.Errorf("%s: %d entries, damage %+v", test.name, len(log.Entries), log.Damage)
		}
		if (log.Damage.String() != "") != (test.damaged > 0) {
			t.Errorf("%s: damage is told as %q", test.name, log.Damage.String())
		}
		for _, e := range log.Entries {
			if e.Recorded != test.recorded || e.Ended != test.ended {
				t.Errorf("%s: recorded %v, ended %v", test.name, e.Recorded, e.Ended)
			}
		}
		changes, missing, err := readChanges(bytes.NewReader(test.b), "x-1")
		if want := len(samples()) - test.missing; err != nil || missing != test.missing || test.recorded && len(changes) != want || !test.recorded && test.entries > 0 && len(changes) != 0 {
			t.Errorf("%s: %d changes, %d missing, %v", test.name, len(changes), missing, err)
		}
	}
}

func TestJournalLog(t *testing.T) {
	var b []byte
	two := samples()[2:4]
	b = append(b, written(t, "a-1", "", two, outcomes("a-1", outcomeOfOne{N: 0, Outcome: "applied"}, outcomeOfOne{N: 1, Outcome: "failed"}), record{End: &endRecord{ID: "a-1"}})...)
	b = append(b, written(t, "a-2", "", two, outcomes("a-2", outcomeOfOne{N: 0, Outcome: "applied"}))...) // killed
	b = append(b, written(t, "b-3", "a-1", two[:1], outcomes("b-3", outcomeOfOne{N: 0, Outcome: "undone"}), record{End: &endRecord{ID: "b-3"}})...)
	b = append(b, written(t, "b-4", "a-2", two[:1], outcomes("b-4", outcomeOfOne{N: 0, Outcome: "refused"}), record{End: &endRecord{ID: "b-4", Error: "interrupted"}})...)
	log, err := readLog(bytes.NewReader(b), 10, "b", nil)
	if err != nil || len(log.Entries) != 4 || log.Older != 0 {
		t.Fatalf("%+v, %v", log, err)
	}
	e := log.Entries
	if n := e[0].Tally; n["applied"] != 1 || n["failed"] != 1 || e[0].Unknown() != 0 || e[0].Interrupted() || len(e[0].Undone) != 1 || e[0].Undone[0] != "b-3" {
		t.Errorf("first: %+v", e[0])
	}
	if e[1].Unknown() != 1 || !e[1].Interrupted() || len(e[1].Undone) != 0 || e[1].Total != 2 {
		t.Errorf("second: %+v", e[1])
	}
	if e[3].Err != "interrupted" || e[3].Undoes != "a-2" || !e[3].SameBoot || e[3].Risk != tcpvet.ChangesKernel {
		t.Errorf("fourth: %+v", e[3])
	}
	if log, err := readLog(bytes.NewReader(b), 3, "other", nil); err != nil || len(log.Entries) != 3 || log.Older != 1 || log.Entries[0].ID != "a-2" || log.Entries[0].SameBoot {
		t.Errorf("the newest three: %+v, %v", log, err)
	}

	for id, want := range map[string]error{"a-1": nil, "b-3": nil, "a": ErrAmbiguous, "b-": ErrAmbiguous, "c": ErrNoEntry, "a-11": ErrNoEntry} {
		if _, err := pick(log, id); !errors.Is(err, want) {
			t.Errorf("pick %s: %v, want %v", id, err, want)
		}
	}
	// An ID that begins another one is itself.
	if e, err := pick(&Log{Entries: []Entry{{ID: "a-12"}, {ID: "a-1"}}}, "a-1"); err != nil || e.ID != "a-1" {
		t.Errorf("got %v, %v", e, err)
	}

	// A plan that is extended has not ended.
	b = append(b, written(t, "c-5", "", two[:1], outcomes("c-5", outcomeOfOne{N: 0, Outcome: "applied"}), record{End: &endRecord{ID: "c-5"}}, record{Recorded: &recordedRecord{"c-5", 3}})...)
	if log, err = readLog(bytes.NewReader(b), 1, "b", nil); err != nil || log.Entries[0].Unknown() != 2 || log.Entries[0].Total != 3 {
		t.Errorf("extended: %+v, %v", log, err)
	}
}

// A journal of many sets takes no more memory than what is asked for.
func TestJournalReadsBounded(t *testing.T) {
	one := written(t, "x-1", "", samples()[:1])
	var b bytes.Buffer
	const sets = 2000
	for i := range sets {
		b.Write(bytes.ReplaceAll(one, []byte("x-1"), fmt.Appendf(nil, "x-%d", i)))
	}
	log, err := readLog(&b, 5, "b", nil)
	if err != nil || len(log.Entries) != 5 || log.Older != sets-5 || log.Entries[4].ID != fmt.Sprintf("x-%d", sets-1) {
		t.Fatalf("%+v, %v", log, err)
	}
}

func TestParseRecordRefuses(t *testing.T) {
	for _, line := range []string{
		"", "null", "{}", "[]", `{"begin":null}`, `{"begin":{"schema":"tcpvet/journal/v1","id":"x","kind":"other"}}`,
		`{"change":{"id":"x","n":-1}}`, `{"change":{"id":"x","n":1048576}}`, `{"change":{"id":"x","target":{"state":"OPEN"}}}`, `{"change":{"id":"x","target":{"local":"1.2.3.4"}}}`,
		`{"change":{"id":"x","before":{"state":"OPEN"}}}`, `{"change":{"id":"x","after":{"timers":{"idle_s":-1}}}}`, `{"change":{"id":"x","after":{"timers":{"user_timeout_ms":4294967296}}}}`,
		`{"outcome":{"id":"x","of":[{"n":1,"outcome":"done"}]}}`, `{"outcome":{"id":"x","of":[{"n":1,"after":{"state":"OPEN"}}]}}`, `{"end":{"id":""}}`, `{"end":{"id":"X"}}`,
	} {
		if r, err := parseRecord([]byte(line)); err == nil {
			t.Errorf("%s is read as %+v", line, r)
		}
	}
}

func FuzzJournal(f *testing.F) {
	whole := written(f, "x-1", "", samples(), outcomes("x-1", outcomeOfOne{N: 0, Outcome: "applied"}), record{End: &endRecord{ID: "x-1"}})
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append(whole[200:], whole...))
	f.Add(written(f, "y-2", "x-1", samples()[2:3], outcomes("y-2", outcomeOfOne{N: 0, Outcome: "undone"})))
	f.Add([]byte(`{"recorded":{"id":"a","changes":99999999}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 3
		log, err := readLog(bytes.NewReader(b), most, "b", nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(log.Entries) > most {
			t.Fatalf("%d entries", len(log.Entries))
		}
		lines := bytes.Count(b, []byte("\n")) + 1
		if log.Damage.Lines > lines || log.Damage.First > lines {
			t.Fatalf("damage %+v in %d lines", log.Damage, lines)
		}
		for _, e := range log.Entries {
			if !isID(e.ID) || e.Total < 0 || e.Total > maxChanges || e.Unknown() < 0 {
				t.Fatalf("%+v", e)
			}
		}
		changes, missing, err := readChanges(bytes.NewReader(b), "x-1")
		if err != nil || missing < 0 || len(changes) > lines {
			t.Fatalf("%d changes, %d missing, %v", len(changes), missing, err)
		}
		// What was read can be written and is read the same.
		if len(changes) > 0 {
			again, _, err := readChanges(bytes.NewReader(written(t, "x-1", "", changes)), "x-1")
			if err != nil || len(again) != len(changes) {
				t.Fatalf("%d changes, written and read: %d, %v", len(changes), len(again), err)
			}
			for i := range again {
				if again[i].Outcome, again[i].Reason = changes[i].Outcome, changes[i].Reason; again[i] != changes[i] {
					t.Fatalf("%+v, written and read: %+v", changes[i], again[i])
				}
			}
		}
	})
}
