package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// kernelLacks begins the reason of the only skip that root's tests may have; it
// is kerneltest.LacksFeature.
const kernelLacks = "kernel lacks"

// summary prints what failed, what did not run and the totals, and tells
// whether all is well.
func (r *repo) summary(took time.Duration, tested bool) bool {
	sum := r.results.tally()
	for _, k := range sum.failures {
		fmt.Printf("\nFAILED %s\n%s", k, tail(r.results[k].failure))
	}
	if len(sum.again) > 0 {
		fmt.Println("\npassed, and not at once:")
	}
	for _, k := range sum.again {
		t := r.results[k]
		if t.alone {
			fmt.Printf("  %s: failed beside others, and passed by itself, twice:\n%s", k, tail(t.failure))
			continue
		}
		fmt.Printf("  %s: begun anew %d times\n", k, t.again)
	}
	bad := hiddenSkips(r.results, sum.notRun, os.Geteuid() == 0)
	if len(sum.notRun)+len(r.notes) > 0 {
		fmt.Println("\nnot run:")
	}
	for _, k := range sum.notRun {
		fmt.Printf("  %s: %s\n", k, r.results[k].reason)
	}
	for _, note := range r.notes {
		fmt.Println("  " + note)
	}
	if len(r.failures)+len(bad) > 0 {
		fmt.Println("\nfailed:")
	}
	for _, f := range r.failures {
		fmt.Println("  " + f)
	}
	for _, k := range bad {
		fmt.Printf("  %s was skipped, and root can run it unless the kernel lacks something\n", k)
	}
	// What failed outside of tests is counted with them: the closing line
	// must not look better than the run.
	failed := sum.failed + len(r.failures) + len(bad)
	fmt.Printf("\n%.0f s in all\n", took.Seconds())
	if tested {
		fmt.Printf("%d passed, %d failed, %d skipped\n", sum.passed, failed, sum.skipped)
	}
	return failed == 0
}

// hiddenSkips lists root tests that root did not run although the kernel could.
func hiddenSkips(rs results, notRun []key, root bool) (bad []key) {
	for _, k := range notRun {
		if root && strings.HasPrefix(k.test, "TestRoot") && !strings.HasPrefix(rs[k].reason, kernelLacks) {
			bad = append(bad, k)
		}
	}
	return bad
}

func (k key) String() string {
	return strings.TrimSpace(k.pkg + " " + k.test)
}

// tail gives the end of a test's output, where the failure is.
func tail(output []string) string {
	const most = 300 // lines: a race report and a dump of goroutines fit
	text := strings.Join(output, "")
	lines := strings.SplitAfter(text, "\n")
	if n := len(lines) - most; n > 0 {
		return fmt.Sprintf("… %d lines …\n%s", n, strings.Join(lines[n:], ""))
	}
	return text
}
