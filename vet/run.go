package vet

import (
	"cmp"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// Report is what a diagnosis came to. What could not be judged is in Skipped:
// it is not known to be well.
type Report struct {
	Findings []tcpvet.Finding // worst first, in an order that depends on the Case alone
	Skipped  []Skipped        // in the order of the rules
}

// Skipped is a rule that was not judged, since the look lacked something.
type Skipped struct {
	Rule    string
	Missing tcpvet.Facts
}

// Run judges the case by the rules, which are given in the order of causes before
// what they cause: among findings of one severity those of an earlier rule come
// first. A Patience of 0 means DefaultPatience.
//
// Of the findings it fills in the coverage and nothing else. It does not catch
// panics: a rule is pure and tested, so one that panics is a bug to be seen.
func Run(c tcpvet.Case, rules []*Rule) Report {
	if c.Patience <= 0 {
		c.Patience = tcpvet.DefaultPatience
	}
	var r Report
	for _, rule := range rules {
		if rule.Compares && c.Before == nil {
			continue
		}
		missing := rule.Needs &^ c.Now.Facts
		if missing == 0 && rule.Lacks != nil {
			missing = rule.Lacks(c)
		}
		if missing != 0 {
			r.Skipped = append(r.Skipped, Skipped{rule.Name, missing})
			continue
		}
		r.Findings = append(r.Findings, rule.Judge(c)...)
	}
	for i := range r.Findings {
		r.Findings[i].Coverage = coverage(&c.Now, r.Findings[i].Subject.Netns)
	}
	r.sort(rules)
	return r
}

// RunTraffic judges captures by the rules that packets can tell about; the
// others are not mentioned. Findings are ordered as by Run, and cover the whole
// of what was captured.
func RunTraffic(t *tcpvet.Traffic, rules []*Rule) Report {
	var r Report
	for _, rule := range rules {
		if rule.Traffic != nil {
			r.Findings = append(r.Findings, rule.Traffic(t)...)
		}
	}
	r.sort(rules)
	return r
}

func (r *Report) sort(rules []*Rule) {
	place := make(map[string]int, len(rules))
	for i, rule := range rules {
		place[rule.Name] = i
	}
	slices.SortStableFunc(r.Findings, func(a, b tcpvet.Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(place[a.Rule], place[b.Rule]),
			larger(a, b),
		)
	})
}

// Comparable tells whether what changed between two looks is worth a word:
// whether they came from the same kind of source, which told the same.
func Comparable(before, now *tcpvet.Census) bool {
	const telling = tcpvet.FactHolders | tcpvet.FactNetns | tcpvet.FactListeners | tcpvet.FactPortRange
	return before.Source == now.Source && before.Facts&telling == now.Facts&telling
}

// coverage tells what the numbers of a finding in that namespace rest on. Root,
// too, meets processes that it may not read or that are gone: their gap is told,
// and narrows nothing.
func coverage(c *tcpvet.Census, ns tcpvet.NetnsID) tcpvet.Coverage {
	for _, g := range c.Gaps {
		if g.What == "holders" && g.Needs == "root" && (g.Netns == 0 || g.Netns == ns) {
			return tcpvet.OwnProcesses
		}
	}
	if !c.Whole {
		return tcpvet.OneNamespace
	}
	return tcpvet.Whole
}

// larger orders findings of one severity and rule: size, then subject.
func larger(a, b tcpvet.Finding) int {
	return cmp.Or(
		cmp.Compare(size(&b), size(&a)),
		cmp.Compare(min(a.Subject.Services, 2), min(b.Subject.Services, 2)), // one service before what stands for many
		cmp.Compare(a.Subject.Netns, b.Subject.Netns),
		slices.CompareFunc(a.Subject.Processes, b.Subject.Processes, compareProcesses),
		a.Subject.Service.Compare(b.Subject.Service),
		a.Subject.Local.Compare(b.Subject.Local),
		cmp.Compare(a.Kind, b.Kind),
	)
}

// size is the first number of a finding: see Rule.Judge.
func size(f *tcpvet.Finding) float64 {
	if len(f.Numbers) == 0 {
		return 0
	}
	return f.Numbers[0].Value
}

func compareProcesses(a, b tcpvet.Process) int {
	return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Start, b.Start))
}
