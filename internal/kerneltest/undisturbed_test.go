package kerneltest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// watched is Undisturbed beneath a test that may fail.
func watched(t *testing.T, test func(t testing.TB, n int)) (outer *attempt, runs int) {
	outer = &attempt{TB: t, helpers: make(map[string]bool)}
	outer.run(func(t testing.TB) {
		Undisturbed(t, func(t testing.TB) {
			runs++
			test(t, runs)
		})
	})
	return outer, runs
}

func failBecause(t testing.TB, n int) {
	t.Helper()
	t.Fatalf("because %d", n)
}

// What fails is run again, and fails if it does each time.
func TestUndisturbed(t *testing.T) {
	for name, test := range map[string]struct {
		does            func(t testing.TB, n int)
		runs            int
		failed, skipped bool
		says            []string
	}{
		"passes": {func(t testing.TB, n int) { t.Log("well") }, 1, false, false, []string{"well"}},
		"fails, then passes": {func(t testing.TB, n int) {
			switch n {
			case 1:
				t.Errorf("error %d", n)
			case 2:
				failBecause(t, n)
			}
		}, 3, false, false, []string{"error 1", "because 2"}},
		"fails in the end": {func(t testing.TB, n int) { t.Cleanup(func() { t.Error("left", n) }) }, 4, true, false, []string{"left 1", "left 2", "left 3", "left 4"}},
		"fails each time":  {failBecause, 4, true, false, []string{"because 1", "because 2", "because 3", "because 4"}},
		"fails, then cannot": {func(t testing.TB, n int) {
			t.Error("wrong", n)
			t.Skip(NeedsRoot)
		}, 4, true, true, []string{NeedsRoot, "wrong 1", "wrong 4"}},
		"cannot": {func(t testing.TB, n int) {
			t.Log("tried")
			t.Skip(NeedsRoot)
		}, 1, false, true, []string{NeedsRoot, "tried"}},
		"can no more": {func(t testing.TB, n int) {
			if n == 2 {
				t.Skipf("%s now", NeedsRoot)
			}
			t.FailNow()
		}, 2, true, true, []string{NeedsRoot + " now", "run 2 skips"}},
	} {
		t.Run(name, func(t *testing.T) {
			outer, runs := watched(t, test.does)
			if runs != test.runs || outer.Failed() != test.failed || outer.Skipped() != test.skipped {
				t.Errorf("%d runs, failed %v, skipped %v; want %d, %v, %v", runs, outer.Failed(), outer.Skipped(), test.runs, test.failed, test.skipped)
			}
			said := strings.Join(outer.said, "\n")
			for _, s := range test.says {
				if !strings.Contains(said, s) {
					t.Errorf("it does not say %q:\n%s", s, said)
				}
			}
			if test.skipped && !strings.HasPrefix(said, test.says[0]) {
				t.Errorf("the reason does not stand first:\n%s", said)
			}
		})
	}
}

// A helper's words have the line of who called it.
func TestUndisturbedLine(t *testing.T) {
	a := &attempt{TB: t, helpers: make(map[string]bool)}
	_, _, line, _ := runtime.Caller(0)
	a.run(func(t testing.TB) { failBecause(t, 1) })
	if want := fmt.Sprintf("undisturbed_test.go:%d: because 1", line+1); len(a.said) != 1 || a.said[0] != want {
		t.Errorf("it says %q, want %q", a.said, want)
	}
}

// A run is over before the next one begins: its context, and then what it cleans up,
// the last first, whatever fails there.
func TestUndisturbedRuns(t *testing.T) {
	var happened []string
	watched(t, func(t testing.TB, n int) {
		note := func(what string) {
			happened = append(happened, fmt.Sprintf("%d %s, over %v", n, what, t.Context().Err() != nil))
		}
		note(fmt.Sprintf("begins, repeated %v", Repeated(t)))
		t.Cleanup(func() { note("first") })
		t.Cleanup(func() { t.Fatal("fails there") })
		t.Cleanup(func() {
			t.Cleanup(func() { note("late") })
			note("last")
		})
		t.FailNow()
	})
	var want []string
	for n := 1; n <= attempts; n++ { // the last one is watched's own, which is run so too
		want = append(want, fmt.Sprintf("%d begins, repeated true, over false", n))
		for _, what := range []string{"last", "late", "first"} {
			want = append(want, fmt.Sprintf("%d %s, over true", n, what))
		}
	}
	if !slices.Equal(happened, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(happened, "\n"), strings.Join(want, "\n"))
	}
	if Repeated(t) {
		t.Error("a test that nobody runs again is repeated")
	}
}
