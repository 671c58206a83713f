package ruletest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Run judges the fixtures in testdata. At least one must fire, one stay quiet,
// and one be cured.
func Run(t *testing.T, rule *vet.Rule) {
	var fired, quiet, cured int
	for _, f := range Load(t, "testdata") {
		t.Run(f.Name, func(t *testing.T) {
			got := Judge(t, rule, f.Case)
			compare(t, got, f.Want)
			if len(f.Want) == 0 {
				quiet++
			} else {
				fired++
			}
			if f.Cured == nil {
				return
			}
			cured++
			if left := Judge(t, rule, *f.Cured); len(left) > 0 {
				t.Errorf("after the cure it still finds:\n%s", Text(left[0]))
			}
		})
	}
	if fired == 0 || quiet == 0 || cured == 0 {
		t.Errorf("%d fixtures fire, %d stay quiet, %d are cured: want one of each at the least", fired, quiet, cured)
	}
}

// Judge runs the one rule by the engine and checks what holds for every
// finding.
func Judge(t testing.TB, rule *vet.Rule, c tcpvet.Case) []tcpvet.Finding {
	t.Helper()
	r := vet.Run(c, []*vet.Rule{rule})
	for _, s := range r.Skipped {
		t.Fatalf("%s was skipped: the fixture lacks %v", s.Rule, s.Missing)
	}
	for _, f := range r.Findings {
		if err := Sound(rule, f); err != nil {
			t.Error(err)
		}
	}
	return r.Findings
}

// Sound holds a finding of the rule to what the vocabulary asks of all.
func Sound(rule *vet.Rule, f tcpvet.Finding) error {
	switch {
	case f.Rule != rule.Name:
		return fmt.Errorf("a finding of %q names the rule %q", rule.Name, f.Rule)
	case f.Severity < tcpvet.Info || f.Severity > tcpvet.Critical:
		return fmt.Errorf("severity %d", f.Severity)
	case f.Title == "" || strings.ContainsRune(f.Title, '\n') || len(f.Detail) == 0:
		return fmt.Errorf("title %q, %d sentences", f.Title, len(f.Detail))
	case len(f.Numbers) == 0 || f.Numbers[0].Value <= 0:
		return fmt.Errorf("the first number gives no size: %v", f.Numbers)
	case len(f.Remedies) == 0:
		return fmt.Errorf("no remedy: %s", f.Title)
	}
	seen := make(map[string]bool)
	for _, n := range f.Numbers {
		if seen[n.Name] || math.IsNaN(n.Value) || math.IsInf(n.Value, 0) {
			return fmt.Errorf("number %s = %v: named twice, or none", n.Name, n.Value)
		}
		seen[n.Name] = true
	}
	for _, e := range f.Evidence {
		if e.What == "" || e.Check == "" {
			return fmt.Errorf("evidence without words or check: %+v", e)
		}
	}
	for _, d := range f.Detail {
		if !strings.HasSuffix(d, ".") || strings.Contains(d, "Inf") || strings.Contains(d, "NaN") {
			return fmt.Errorf("no sentence: %q", d)
		}
	}
	return nil
}

// Text writes a finding out, for messages and for searching in it.
func Text(f tcpvet.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n%s\n", f.Severity, f.Certainty, word(f.Kind), f.Title)
	for _, d := range f.Detail {
		fmt.Fprintln(&b, d)
	}
	for _, n := range f.Numbers {
		fmt.Fprintf(&b, "number %s %s\n", n.Name, number(n.Value))
	}
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "check %s => %s\n", e.Check, e.Got)
	}
	for _, r := range f.Remedies {
		fmt.Fprintln(&b, remedy(r))
	}
	return b.String()
}

func word(kind string) string {
	if kind == "" {
		return "-"
	}
	return kind
}

func number(v float64) string { return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64) }

func remedy(r tcpvet.Remedy) string {
	return fmt.Sprintf("%s %s | %s", r.Kind(), word(r.Command()), r)
}

func compare(t *testing.T, got []tcpvet.Finding, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d findings, want %d", len(got), len(want))
		for _, f := range got {
			t.Logf("got:\n%s", Text(f))
		}
		return
	}
	for i, f := range got {
		if missing := missing(f, want[i]); missing != "" {
			t.Errorf("finding %d lacks, or lacks at this place:\n%s\ngot:\n%s", i+1, missing, Text(f))
		}
	}
}

// missing gives the first line of a paragraph that does not hold for f, ""
// where all do.
func missing(f tcpvet.Finding, paragraph string) string {
	lines := strings.Split(paragraph, "\n")
	if len(lines) < 2 || lines[0] != fmt.Sprintf("%s %s %s", f.Severity, f.Certainty, word(f.Kind)) {
		return lines[0]
	}
	if lines[1] != f.Title {
		return lines[1]
	}
	details, remedies := f.Detail, f.Remedies
	for _, line := range lines[2:] {
		kind, rest, _ := strings.Cut(line, " ")
		ok := false
		switch kind {
		case "number":
			ok = slices.ContainsFunc(f.Numbers, func(n tcpvet.Number) bool { return n.Name+" "+number(n.Value) == rest })
		case "check":
			ok = slices.ContainsFunc(f.Evidence, func(e tcpvet.Evidence) bool { return e.Check+" => "+e.Got == rest })
		case "code", "command", "advice":
			for !ok && len(remedies) > 0 {
				text := remedy(remedies[0])
				head, tail, _ := strings.Cut(line, " |")
				ok = strings.HasPrefix(text, head+" |") && strings.Contains(text, strings.TrimSpace(tail))
				remedies = remedies[1:]
			}
		case "since":
			d, err := time.ParseDuration(rest)
			ok = err == nil && f.Since != nil && f.Since.Equal(taken.Add(-d))
		case "services":
			ok = strconv.Itoa(f.Subject.Services) == rest
		case "never":
			ok = !strings.Contains(Text(f), rest)
		default:
			for !ok && len(details) > 0 {
				// A sentence may hold two of the lines: it is left in place.
				if ok = strings.Contains(details[0], line); !ok {
					details = details[1:]
				}
			}
		}
		if !ok {
			return line
		}
	}
	return ""
}
