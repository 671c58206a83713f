package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A test that the machine was too busy for passes by itself, each time. More than
// mostAlone are no chance.
const mostAlone, timesAlone = 3, 2

// alone runs tests that failed once more, twice and with nothing beside them. One that
// passes then passes, and the summary has what it had said. What leaves no doubt is not
// run again: a data race, a panic, a process that died, a package that failed by itself.
func (r *repo) alone(ctx context.Context) error {
	failed := r.results.doubtful()
	if len(failed) == 0 || len(failed) > mostAlone {
		return nil
	}
	raced, err := r.raced(ctx)
	if err != nil {
		return err
	}
	modules, err := r.output(ctx, "go", "list", "-m")
	if err != nil {
		return err
	}
	module, _, _ := strings.Cut(modules, "\n") // that of the root comes first in a workspace
	var errs []error
	for _, k := range failed {
		args := []string{"-count=1", "-run", exactly(k.test), k.pkg}
		if folder := cmp.Or(strings.TrimPrefix(strings.TrimPrefix(k.pkg, module), "/"), "."); slices.Contains(raced, "./"+folder) {
			args = append([]string{"-race"}, args...)
		}
		passed := 0
		for range timesAlone {
			all := r.results
			r.results = results{}
			err := r.goTest(ctx, args...)
			if t := r.results[k]; err == nil && t != nil && t.passed && r.results.tally().failed == 0 {
				passed++
			}
			r.results = all
			errs = append(errs, err)
		}
		if passed == timesAlone {
			r.results.forgive(k)
		}
	}
	r.said = fmt.Sprintf("%d failed, and were run again by themselves", len(failed))
	return errors.Join(errs...)
}

// exactly is the pattern of -run that only this test matches.
func exactly(test string) string {
	names := strings.Split(test, "/")
	for i, name := range names {
		names[i] = "^" + regexp.QuoteMeta(name) + "$"
	}
	return strings.Join(names, "/")
}

var beyondDoubt = regexp.MustCompile(`(?m)DATA RACE|race detected|^panic: |^fatal error: |^did not end|test timed out`)

// doubtful lists the failed tests of packages in which nothing failed beyond doubt.
func (rs results) doubtful() (tests []key) {
	certain := map[string]bool{}
	for k, t := range rs {
		if t.failed && beyondDoubt.MatchString(strings.Join(t.failure, "")) {
			certain[k.pkg] = true
		}
	}
	for _, k := range rs.tally().failures {
		if strings.HasPrefix(k.test, "Test") && !certain[k.pkg] {
			tests = append(tests, k)
		}
	}
	return tests
}

// forgive takes a failed test for one that passed, and what failed for its sake alone.
func (rs results) forgive(k key) {
	t := rs[k]
	t.failed, t.passed, t.alone = false, true, true
	for p := k; p.test != ""; {
		p.test = p.test[:max(strings.LastIndexByte(p.test, '/'), 0)]
		parent := rs[p]
		if parent == nil || slices.ContainsFunc(parent.failure, position.MatchString) {
			return // it has something to say itself
		}
		parent.failed, parent.passed = false, true
	}
}
