package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is a line of "go test -json" (cmd/internal/test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output
	FailedBuild string // the ImportPath for want of which a package failed
	Test        string
	Output      string
}

// key names a test, or a package where test is empty.
type key struct{ pkg, test string }

// result is what became of a test over all runs of it.
type result struct {
	passed, failed, skipped bool
	open                    bool     // it began and has not ended
	output                  []string // of the latest run
	failure                 []string // of the run that failed
	reason                  string   // why it was skipped
	again                   int      // how often it was begun anew: kerneltest.Undisturbed
	alone                   bool     // it failed beside others, and passed by itself
}

type results map[key]*result

func (rs results) of(pkg, test string) *result {
	k := key{pkg, test}
	if rs[k] == nil {
		rs[k] = &result{}
	}
	return rs[k]
}

// read follows one run of "go test -json". Lines that are no events are what
// the go command itself says; they are given back. failed tells whether
// something failed in this run.
func (rs results) read(r io.Reader) (other []string, failed bool, err error) {
	lines := bufio.NewReader(r)
	builds := map[string][]string{}
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				other = append(other, strings.TrimRight(string(line), "\n"))
			} else {
				rs.add(e, builds)
				failed = failed || e.Action == "fail"
			}
		}
		if err == io.EOF {
			return other, rs.end() || failed, nil
		}
		if err != nil {
			return other, failed, fmt.Errorf("read the output of go test: %w", err)
		}
	}
}

func (rs results) add(e event, builds map[string][]string) {
	switch e.Action {
	case "build-output":
		builds[e.ImportPath] = append(builds[e.ImportPath], e.Output)
		return
	case "build-fail": // its packages fail each
		return
	}
	t := rs.of(e.Package, e.Test)
	switch e.Action {
	case "start", "run":
		t.open, t.output = true, nil
	case "output":
		t.output = append(t.output, e.Output)
		if begunAnew.MatchString(e.Output) {
			t.again++
		}
	case "pass":
		t.open, t.passed, t.output = false, true, nil
	case "fail":
		t.fail(builds[e.FailedBuild]...)
	case "skip":
		t.open, t.skipped = false, true
		t.reason = reason(t.output)
		t.output = nil
	}
}

func (t *result) fail(why ...string) {
	t.open, t.failed = false, true
	t.failure = append(t.output, why...)
}

// end fails what began and never ended: the process died.
func (rs results) end() (failed bool) {
	for _, t := range rs {
		if t.open {
			t.fail("did not end\n")
			failed = true
		}
	}
	return failed
}

var begunAnew = regexp.MustCompile(`^\s+\S+\.go:\d+: run \d+ of \d+ failed:`)

var position = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)

// reason finds the text of t.Skip in a test's output: the last line with a
// position, and what follows it.
func reason(output []string) string {
	var text []string
	for line := range strings.Lines(strings.Join(output, "")) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(strings.TrimSpace(line), "--- ") {
			continue
		}
		if m := position.FindStringSubmatch(line); m != nil {
			text = []string{m[1]}
		} else if len(text) > 0 {
			text = append(text, strings.TrimSpace(line))
		}
	}
	if len(text) == 0 {
		return "no reason given"
	}
	return strings.Join(text, " ")
}

// tally is the count of tests. A test with subtests counts as these, unless it
// failed by itself; a package counts only where it failed and none of its tests
// did.
type tally struct {
	passed, failed, skipped int
	failures                []key // with output to show
	notRun                  []key
	again                   []key // passed, at not their first run
}

func (rs results) tally() (sum tally) {
	parents, badParents := map[key]bool{}, map[key]bool{}
	for k, t := range rs {
		for p := k; p.test != ""; {
			i := strings.LastIndexByte(p.test, '/')
			p.test = p.test[:max(i, 0)]
			parents[p] = true
			if t.failed {
				badParents[p] = true
			}
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(rs), func(a, b key) int {
		return strings.Compare(a.pkg+"\x00"+a.test, b.pkg+"\x00"+b.test)
	}) {
		t := rs[k]
		switch {
		case t.failed && !badParents[k]:
			sum.failed++
			sum.failures = append(sum.failures, k)
		case t.failed, k.test == "", parents[k]:
		case t.passed:
			sum.passed++
			if t.again > 0 || t.alone {
				sum.again = append(sum.again, k)
			}
		case t.skipped:
			sum.skipped++
			sum.notRun = append(sum.notRun, k)
		}
	}
	return sum
}
