package lab

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
)

func TestCompare(t *testing.T) {
	service := netip.MustParseAddrPort("10.0.0.2:80")
	leak := tcpvet.Finding{Rule: "leak", Kind: "never-read", Severity: tcpvet.Warning, Subject: tcpvet.Subject{Service: service}}
	full := tcpvet.Finding{Rule: "full", Title: "full it is"}
	for _, c := range []struct {
		name     string
		rules    []string
		of       map[string]Particulars
		findings []tcpvet.Finding
		skipped  []string
		want     []string // words of each mismatch
		late     bool
	}{
		{name: "quiet"},
		{name: "found", rules: []string{"leak"}, findings: []tcpvet.Finding{leak}},
		{name: "found twice", rules: []string{"leak"}, findings: []tcpvet.Finding{leak, leak}},
		{name: "skipped", rules: []string{"leak"}, skipped: []string{"leak"}},
		{name: "another skipped", skipped: []string{"leak"}},
		{name: "missing", rules: []string{"leak"}, want: []string{"leak was expected and not found"}, late: true},
		{name: "too much", rules: []string{"leak"}, findings: []tcpvet.Finding{leak, full}, want: []string{"full was found and not expected: full it is"}},
		{name: "one for another", rules: []string{"leak"}, findings: []tcpvet.Finding{full},
			want: []string{"full was found", "leak was expected"}},
		{name: "particulars", rules: []string{"leak"}, of: map[string]Particulars{"leak": {"never-read", tcpvet.Warning, service}}, findings: []tcpvet.Finding{leak}},
		{name: "another kind", rules: []string{"leak"}, of: map[string]Particulars{"leak": {Kind: "undrained"}}, findings: []tcpvet.Finding{leak},
			want: []string{"found warning never-read 10.0.0.2:80"}, late: true},
		{name: "less severe", rules: []string{"leak"}, of: map[string]Particulars{"leak": {Severity: tcpvet.Critical}}, findings: []tcpvet.Finding{leak},
			want: []string{"leak was expected with"}, late: true},
		{name: "another service", rules: []string{"leak"}, of: map[string]Particulars{"leak": {Service: netip.MustParseAddrPort("[::1]:80")}}, findings: []tcpvet.Finding{leak},
			want: []string{"leak was expected with"}, late: true},
	} {
		v := Verdict{Findings: c.findings}
		for _, s := range c.skipped {
			v.Skipped = append(v.Skipped, Skipped{Rule: s})
		}
		e := Expect{Rules: c.rules, Of: c.of}
		got, late := e.compare(v)
		if len(got) != len(c.want) || late != c.late {
			t.Errorf("%s: got %q, late %v", c.name, got, late)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: got %q, want %q", c.name, got[i], c.want[i])
			}
		}
	}
}

// looking is a stage without hosts that sees a socket more with each look, and
// whose rules find something from so many on.
func looking(findsFrom uint64, looks ...string) *Stage {
	s := &Stage{Patience: time.Millisecond, judge: func(c tcpvet.Case) Verdict {
		if c.Now.Sockets < findsFrom {
			return Verdict{}
		}
		return Verdict{Findings: []tcpvet.Finding{{Rule: "leak"}}}
	}}
	for _, name := range looks {
		var seen uint64
		s.looks = append(s.looks, Look{Name: name, Take: func(context.Context, []string) (tcpvet.Census, error) {
			seen++
			return tcpvet.Census{Source: name, Sockets: seen}, nil
		}})
	}
	return s
}

// Each source looks for itself, and again until it finds what is expected; what
// is not expected is told at once.
func TestJudgeLooksAgain(t *testing.T) {
	s := looking(3, "eyes", "ears")
	var step Step
	limits := []tcpvet.PathLimit{{Idle: time.Second}}
	before, err := s.Before(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Judge(t.Context(), &step, Expect{Rules: []string{"leak"}, Before: before, Limits: limits}); err != nil {
		t.Fatal(err)
	}
	views := step.Judged[0].Views
	if len(views) != 2 || views[0].Source != "eyes" || views[1].Source != "ears" {
		t.Fatalf("got the views %+v", views)
	}
	for _, v := range views {
		if v.Case.Now.Sockets != 3 || v.Case.Before.Sockets != 1 || v.Case.Before.Source != v.Source || len(v.Mismatches) > 0 ||
			v.Case.Patience != s.Patience || !slices.Equal(v.Case.Limits, limits) {
			t.Errorf("%s judged %+v: %v", v.Source, v.Case, v.Mismatches)
		}
	}

	s = looking(1, "eyes")
	step = Step{Name: "quiet"}
	if err := s.Judge(t.Context(), &step, Expect{}); err != nil {
		t.Fatal(err)
	}
	if v := step.Judged[0].Views[0]; v.Case.Now.Sockets != 1 || len(v.Mismatches) != 1 {
		t.Errorf("a finding that was not expected: %d looks, %v", v.Case.Now.Sockets, v.Mismatches)
	}
	story := &Story{Steps: []Step{step}}
	if o := story.Outcome(); len(o.Mismatches) != 1 || !strings.Contains(o.Mismatches[0], "step quiet, by eyes: leak was found") || !slices.Equal(o.Found, []string{"leak"}) {
		t.Errorf("the outcome is %+v", o)
	}

	stopped, stop := context.WithCancelCause(t.Context())
	because := errors.New("because")
	stop(because)
	if err := looking(1000, "eyes").Judge(stopped, &step, Expect{Rules: []string{"leak"}}); !errors.Is(err, because) {
		t.Errorf("a judgement that was stopped: got %v", err)
	}
}

// What a scenario says that it expects is what its moments expect.
func TestOutcomeComparesTheScenarioWithItsMoments(t *testing.T) {
	for _, c := range []struct {
		expects, moments []string
		want             int
	}{
		{nil, nil, 0},
		{[]string{"b", "a"}, []string{"a", "b"}, 0},
		{[]string{"a"}, nil, 1},
		{nil, []string{"a"}, 0}, // as under options that are not the usual ones
	} {
		s := Story{expects: c.expects, Steps: []Step{{Judged: []*Judged{{Expected: c.moments}}}}}
		if o := s.Outcome(); len(o.Mismatches) != c.want {
			t.Errorf("%v: got %v", c, o.Mismatches)
		}
	}
}
