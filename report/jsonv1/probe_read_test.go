package jsonv1

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
)

func yes() *bool { b := true; return &b }

// measured gives what a measurement of 10.0.3.9:5432 came to.
func measured(trials ...probe.Trial) *probe.Idle {
	return &probe.Idle{
		Target: "db:5432", Remote: netip.MustParseAddrPort("10.0.3.9:5432"), Taken: time.Date(2026, 11, 29, 17, 2, 0, 0, time.UTC),
		Most: 6 * time.Minute, Trials: trials, Fresh: yes(),
	}
}

// wrote is measured where something was sent first.
func wrote(trials ...probe.Trial) *probe.Idle {
	i := measured(trials...)
	i.Wrote = 18
	return i
}

func trial(fate probe.Fate, silence time.Duration) probe.Trial {
	b := probe.Between{Low: silence, High: silence + 10*time.Millisecond}
	return probe.Trial{Local: netip.MustParseAddrPort("10.0.0.5:40000"), Fate: fate, Silence: b, Quiet: b, At: silence}
}

// What is written is read again, and judged by.
func TestProbeLimits(t *testing.T) {
	at := tcpvet.PathLimit{Remote: netip.MustParsePrefix("10.0.3.9/32"), Port: 5432, Measured: time.Date(2026, 11, 29, 17, 2, 0, 0, time.UTC)}
	limit := func(kind tcpvet.LimitKind, safe, idle time.Duration) tcpvet.PathLimit {
		l := at
		l.Kind, l.Safe, l.Idle = kind, safe, idle
		return l
	}
	const s = time.Second
	for _, test := range []struct {
		name   string
		idle   *probe.Idle
		how    string // lost_how, "" for null
		limits []tcpvet.PathLimit
	}{
		{"none", measured(trial(probe.Answered, 360*s)), "", nil},
		{"silent", measured(trial(probe.Answered, 220*s), trial(probe.Silent, 231*s)), "silent", []tcpvet.PathLimit{limit(tcpvet.OnPath, 220*s, 231*s+10*time.Millisecond)}},
		{"rst", measured(trial(probe.Answered, 220*s), trial(probe.ResetAsked, 231*s)), "rst", []tcpvet.PathLimit{limit(tcpvet.OnPath, 220*s, 231*s+10*time.Millisecond)}},
		{"server, to which nothing was said", measured(trial(probe.Answered, 50*s), trial(probe.Closed, 60*s)), "server", nil},
		{"server", wrote(trial(probe.Answered, 50*s), trial(probe.Closed, 60*s)), "server", []tcpvet.PathLimit{limit(tcpvet.OfServer, 50*s, 60*s+10*time.Millisecond)}},
		{"both", wrote(trial(probe.Answered, 50*s), trial(probe.Closed, 60*s), trial(probe.ResetIdle, 55*s)), "rst", []tcpvet.PathLimit{
			limit(tcpvet.OfServer, 50*s, 60*s+10*time.Millisecond), limit(tcpvet.OnPath, 50*s, 55*s+10*time.Millisecond),
		}},
		{"contradictory", measured(trial(probe.Answered, 300*s), trial(probe.Silent, 231*s)), "", nil},
	} {
		text, err := json.Marshal(ProbeIdleOf(test.idle))
		if err != nil {
			t.Fatal(err)
		}
		read, err := ReadProbes(strings.NewReader(string(text) + "\n" + string(text)))
		if err != nil || len(read) != 2 {
			t.Errorf("%s: %d documents, %v", test.name, len(read), err)
			continue
		}
		got, err := read[1].Limits()
		if err != nil || !slices.Equal(got, test.limits) || str(read[1].LostHow) != test.how {
			t.Errorf("%s: %+v, %v, %q; want %+v, %q", test.name, got, err, str(read[1].LostHow), test.limits, test.how)
		}
	}
}

// What did not end connections for being idle after use is no limit.
func TestEndedOtherwise(t *testing.T) {
	for _, test := range []struct {
		name, text string
		limits     int
		otherwise  bool
	}{
		{"a limit", `"kind":"http","keep_alive_limit_s":{"survived":4.9,"closed":5.1},"http":{}`, 1, false},
		{"closed by the answer", `"kind":"http","keep_alive_limit_s":{"survived":0,"closed":0.01},"http":{"connection_close":true}`, 0, true},
		{"at once", `"kind":"http","keep_alive_limit_s":{"survived":4.9,"closed":5.1},"http":{"at_once":true}`, 0, true},
		{"kept", `"kind":"http","keep_alive_limit_s":{"survived":120,"closed":null},"http":{}`, 0, false},
		{"nothing was said", `"kind":"idle","keep_alive_limit_s":{"survived":50,"closed":60},"wrote_bytes":0`, 0, true},
		{"not known what was said", `"kind":"idle","keep_alive_limit_s":{"survived":50,"closed":60}`, 0, true},
		{"something was said", `"kind":"idle","keep_alive_limit_s":{"survived":50,"closed":60},"wrote_bytes":18`, 1, false},
		{"nothing was said, and the way forgets", `"kind":"idle","keep_alive_limit_s":{"survived":50,"closed":60},"idle_limit_s":{"survived":20,"lost":30},"lost_how":"rst","wrote_bytes":0`, 1, true},
	} {
		all, err := ReadProbes(strings.NewReader(`{"schema":"tcpvet/probe/v1","taken":"2026-11-29T17:02:00Z","remote":"10.0.3.9:80",` + test.text + `}`))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if limits, err := all[0].Limits(); err != nil || len(limits) != test.limits || all[0].EndedOtherwise() != test.otherwise {
			t.Errorf("%s: %+v, %v, ended otherwise: %v", test.name, limits, err, all[0].EndedOtherwise())
		}
	}
}

func TestReadProbesRefuses(t *testing.T) {
	whole, err := json.Marshal(ProbeIdleOf(measured(trial(probe.Answered, time.Minute), trial(probe.Silent, 2*time.Minute))))
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	for _, test := range []struct{ name, text, want string }{
		{"nothing", " \n", "there is nothing in it"},
		{"cut", text[:len(text)/2], "it was cut"},
		{"no JSON", "State Recv-Q", "expected what tcpvet probe"},
		{"another schema", `{"schema":"tcpvet/count/v1","text":5}`, `its schema is "tcpvet/count/v1"`},
		{"no schema", `{}`, `its schema is ""`},
		{"a list", `[1,2]`, "document 1"},
		{"another kind", strings.Replace(text, `"idle"`, `"disk"`, 1), `its kind is "disk"`},
		{"a name for an address", strings.Replace(text, "10.0.3.9:5432", "db:5432", 1), `remote "db:5432"`},
		{"no time", strings.Replace(text, `"2026-11-29T17:02:00Z"`, "null", 1), `taken ""`},
		{"falling", strings.Replace(text, `"survived":60`, `"survived":600`, 1), "from 600 to 120.01"},
		{"below zero", strings.Replace(text, `"survived":60`, `"survived":-1`, 1), "expected rising times"},
		{"at once", strings.Replace(strings.Replace(text, `"survived":60`, `"survived":0`, 1), `"lost":120.01`, `"lost":0`, 1), "from 0 to 0: expected rising times up to 315360000 s"},
		{"for ever", strings.Replace(text, `"lost":120.01`, `"lost":1e300`, 1), "expected rising times"},
		{"a word for a number", strings.Replace(text, `"lost":120.01`, `"lost":"long"`, 1), "idle_limit_s"},
		{"huge", strings.Repeat(" ", largestProbes+1), "more than 16 MiB"},
	} {
		if _, err := ReadProbes(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func FuzzReadProbes(f *testing.F) {
	// Short ones: the fuzzer spends its time on making long ones shorter.
	const head = `{"schema":"tcpvet/probe/v1","remote":"[::1%x]:80","taken":"2026-11-29T17:02:00Z","kind":`
	idle := head + `"idle","idle_limit_s":{"survived":1,"lost":2.5}}`
	f.Add(idle)
	f.Add(idle + "\n" + idle)
	f.Add(head + `"http","keep_alive_limit_s":{"survived":0,"closed":1e9}}`)
	f.Add(head + `"keepalive"}`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ReadProbes(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, p := range all {
			limits, err := p.Limits()
			if err != nil {
				t.Fatalf("what was read is refused: %v", err)
			}
			for _, l := range limits {
				if l.Idle <= 0 || l.Safe < 0 || l.Safe > l.Idle || !l.Remote.IsValid() || l.Measured.IsZero() {
					t.Fatalf("limit %+v", l)
				}
			}
		}
	})
}
