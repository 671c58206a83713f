package lab

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Verdict is what the rules say of one look.
type Verdict struct {
	Findings []tcpvet.Finding
	Skipped  []Skipped // the rules that could not be judged
}

// Skipped is a rule that was not judged, and what the look lacked for it.
type Skipped struct{ Rule, Missing string }

// Expect says what the rules have to find at a moment of the stage.
type Expect struct {
	// Rules are the rules that have to find something. No other one may.
	// None: the moment is quiet.
	Rules []string

	// Of says more about what a rule has to find, for those of Rules of
	// which that is known.
	Of map[string]Particulars

	// Before is an earlier look, nil for none: see Stage.Before.
	Before *Earlier

	// Limits are what is known of paths, as diagnose is given them by
	// --path-idle.
	Limits []tcpvet.PathLimit
}

// Particulars narrow what is expected of a rule: one of its findings has all of
// them. A zero value says nothing.
type Particulars struct {
	Kind     string // tcpvet.Finding.Kind
	Severity tcpvet.Severity
	Service  netip.AddrPort // of the finding's subject
}

// Earlier is a look at the stage by each source, for rules that judge growth.
type Earlier struct{ by []tcpvet.Census }

// Before looks at the stage, for an Expect.Before later.
func (s *Stage) Before(ctx context.Context) (*Earlier, error) {
	e := new(Earlier)
	for _, look := range s.looks {
		census, err := s.take(ctx, look)
		if err != nil {
			return nil, err
		}
		e.by = append(e.by, census)
	}
	return e, nil
}

// Judged is a moment of the stage, as the rules judged it.
type Judged struct {
	Expected []string
	Views    []View // one for each of Options.Looks
}

// View is a moment as one source saw it.
type View struct {
	Source  string
	Case    *tcpvet.Case
	Verdict Verdict

	// Mismatches say how the verdict differs from what was expected; none
	// where it does not.
	Mismatches []string
}

// lagging is how long Judge looks again for what it expects: rules judge by age,
// in classes, and a busy machine may need a while to come where it is to be.
const lagging = 20 * time.Second

// Judge has the rules judge the stage as it is now, by every source, and puts
// what they said into the step. It looks again, for a while, as long as nothing
// is missing but findings that are expected. That they stay away, or that
// something else is found, is a mismatch and no error: the play goes on.
func (s *Stage) Judge(ctx context.Context, step *Step, e Expect) error {
	j := &Judged{Expected: sorted(e.Rules)}
	for i, look := range s.looks {
		for begin := time.Now(); ; {
			census, err := s.take(ctx, look)
			if err != nil {
				return err
			}
			c := tcpvet.Case{Now: census, Patience: s.Patience, Limits: e.Limits}
			if e.Before != nil {
				c.Before = &e.Before.by[i]
			}
			v := View{Source: look.Name, Case: &c, Verdict: s.judge(c)}
			var late bool
			v.Mismatches, late = e.compare(v.Verdict)
			if !late || time.Since(begin) > lagging+s.Patience {
				j.Views = append(j.Views, v)
				break
			}
			if err := Wait(ctx, 10*pollEvery); err != nil {
				return err
			}
		}
	}
	step.Judged = append(step.Judged, j)
	return nil
}

// compare tells how a verdict differs from what is expected: found or skipped
// has to be what is expected, and nothing else found. late is true where time may
// heal it.
func (e *Expect) compare(v Verdict) (mismatches []string, late bool) {
	late = true
	for _, f := range v.Findings {
		if !slices.Contains(e.Rules, f.Rule) {
			mismatches = append(mismatches, fmt.Sprintf("%s was found and not expected: %s", f.Rule, f.Title))
			late = false
		}
	}
	missing := false
	for _, rule := range e.Rules {
		if slices.ContainsFunc(v.Skipped, func(s Skipped) bool { return s.Rule == rule }) {
			continue
		}
		if m := e.Of[rule].miss(rule, v.Findings); m != "" {
			mismatches = append(mismatches, m)
			missing = true
		}
	}
	return mismatches, late && missing
}

// miss tells that no finding of the rule has the particulars, "" where one has.
func (p Particulars) miss(rule string, findings []tcpvet.Finding) string {
	found := ""
	for i := range findings {
		f := &findings[i]
		switch {
		case f.Rule != rule:
		case (p.Kind == "" || p.Kind == f.Kind) && (p.Severity == 0 || p.Severity == f.Severity) &&
			(!p.Service.IsValid() || p.Service == f.Subject.Service):
			return ""
		default:
			found += fmt.Sprintf("; found %s %s %s", f.Severity, f.Kind, f.Subject.Service)
		}
	}
	if found == "" {
		return rule + " was expected and not found"
	}
	return fmt.Sprintf("%s was expected with %+v%s", rule, p, found)
}

// Outcome is what a play came to.
type Outcome struct {
	// Expected are the rules that its moments expected; those of the
	// scenario where it has not been played.
	Expected []string
	Found    []string // rules, by any source
	Skipped  []Skip   // rules that a source could not judge

	// Mismatches are the differences between Expected and what was found,
	// by step and source, and what tcpvet was to do and did not; none where all
	// is as expected.
	Mismatches []string
}

// Skip is a rule that a source could not judge, and what it lacked.
type Skip struct{ Source, Rule, Missing string }

// Outcome sums up what was judged.
func (s *Story) Outcome() Outcome {
	o := Outcome{}
	for _, step := range s.Steps {
		for _, failed := range step.Failed {
			o.Mismatches = append(o.Mismatches, fmt.Sprintf("step %s: %s", step.Name, failed))
		}
		for _, j := range step.Judged {
			o.Expected = append(o.Expected, j.Expected...)
			for _, v := range j.Views {
				for _, m := range v.Mismatches {
					o.Mismatches = append(o.Mismatches, fmt.Sprintf("step %s, by %s: %s", step.Name, v.Source, m))
				}
				for _, f := range v.Verdict.Findings {
					o.Found = append(o.Found, f.Rule)
				}
				for _, skipped := range v.Verdict.Skipped {
					o.Skipped = append(o.Skipped, Skip{v.Source, skipped.Rule, skipped.Missing})
				}
			}
		}
	}
	o.Found = sorted(o.Found)
	slices.SortFunc(o.Skipped, func(a, b Skip) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Rule, b.Rule))
	})
	o.Skipped = slices.Compact(o.Skipped)
	o.Expected = sorted(o.Expected)
	for _, rule := range s.expects {
		if len(s.Steps) > 0 && !slices.Contains(o.Expected, rule) {
			o.Mismatches = append(o.Mismatches, fmt.Sprintf("the scenario stages %s, and none of its moments expects it", rule))
		}
	}
	if len(s.Steps) == 0 {
		o.Expected = sorted(s.expects)
	}
	return o
}

// sorted gives a copy in order, each once.
func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
