package report

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

func TestProbeIdle(t *testing.T) {
	yes := true
	survived := probe.Trial{Local: netip.MustParseAddrPort("10.0.0.5:40000"), Fate: probe.Answered, Silence: probe.Between{Low: 227 * time.Second, High: 227 * time.Second}, Broken: 1}
	lost := probe.Trial{Local: netip.MustParseAddrPort("10.0.0.5:40001"), Fate: probe.ResetAsked, Errno: probe.ECONNRESET, Silence: probe.Between{Low: 231 * time.Second, High: 231 * time.Second}}
	closed := probe.Trial{Fate: probe.Closed, Quiet: probe.Between{Low: time.Minute, High: time.Minute}}
	for _, test := range []struct {
		head   string
		wrote  int
		trials []probe.Trial
		says   []string
	}{
		{"FORGOTTEN  ?[31mdb:5432   at 10.0.3.9:5432\n", 0, []probe.Trial{survived, lost}, []string{
			"10.0.0.5:40000: silent for 3 min 47 s, then answered; 1 segment of the server in between",
			"10.0.0.5:40001: silent for 3 min 51 s, then answered by RST, ECONNRESET (104)",
			"cannot tell: who sent the RST", "    now         tcpvet run --keepalive 1m53s,15s,4 -- COMMAND\n", "by 2 connections in 4 min 1 s, with keepalive probes alone: no data was sent",
		}},
		{"KEPT ALL THE TIME", 18, []probe.Trial{survived}, []string{"with keepalive probes: 18 bytes were sent on each first"}},
		{"CLOSED BY THE SERVER", 0, []probe.Trial{closed}, []string{"its own limit"}},
		{"NOT MEASURED", 0, nil, []string{"Nothing was measured"}},
	} {
		i := probe.Idle{
			Target: "\x1b[31mdb:5432", Remote: netip.MustParseAddrPort("10.0.3.9:5432"), Most: 6 * time.Minute, Took: 241 * time.Second, Wrote: test.wrote,
			Trials: test.trials, Fresh: &yes,
		}
		var out strings.Builder
		if err := ProbeIdle(&out, &i, true, Style{Width: 200}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), test.head) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: got\n%s", test.head, out.String())
		}
		for _, words := range test.says {
			if !strings.Contains(out.String(), words) {
				t.Errorf("%s: %q is not in\n%s", test.head, words, out.String())
			}
		}
	}
}

// What was broken off has not lasted all the time.
func TestProbeIdleInterrupted(t *testing.T) {
	i := probe.Idle{Target: "db:5432", Remote: netip.MustParseAddrPort("10.0.3.9:5432"), Interrupted: true, Trials: []probe.Trial{{Fate: probe.Answered, Silence: probe.Between{Low: time.Minute}}}}
	var out strings.Builder
	if err := ProbeIdle(&out, &i, false, Style{Width: 100}); err != nil || !strings.HasPrefix(out.String(), "KEPT SO FAR  ") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if p := jsonv1.ProbeAnswersOf(&probe.Answers{Fate: probe.Answered, Answered: 1, Interrupted: true}); !p.Interrupted || *p.Answers != "answered" {
		t.Errorf("%+v", p)
	}
}

func TestProbeAnswers(t *testing.T) {
	for fate, head := range map[probe.Fate]string{
		probe.Answered: "ANSWERS  db:5432   at 10.0.3.9:5432\n", probe.Silent: "DOES NOT ANSWER  ", probe.ResetAsked: "DOES NOT ANSWER  ",
		probe.Closed: "NOT MEASURED  ", probe.ResetIdle: "NOT MEASURED  ", probe.Undecided: "NOT MEASURED  ",
	} {
		var out strings.Builder
		a := probe.Answers{Target: "db:5432", Remote: netip.MustParseAddrPort("10.0.3.9:5432"), Fate: fate, Probes: 3, Answered: 3}
		if err := ProbeAnswers(&out, &a, Style{Width: 100}); err != nil || !strings.HasPrefix(out.String(), head) || !strings.Contains(out.String(), a.Read().Text[0][:20]) {
			t.Errorf("%v: %v\n%s", fate, err, out.String())
		}
	}
}
