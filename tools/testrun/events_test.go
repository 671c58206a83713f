package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module makes a repository of these files and a runner for it.
func module(t *testing.T, files map[string]string) *repo {
	t.Helper()
	root := t.TempDir()
	files["go.mod"] = "module example.org/m\n\ngo 1.26.0\n"
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := newRepo(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// The go command runs tests whose fate is known.
func TestResults(t *testing.T) {
	r := module(t, map[string]string{
		"a/a_test.go": `package a
import "testing"
func TestPasses(t *testing.T) { t.Log("quiet") }
func TestFails(t *testing.T) { t.Error("loud") }
func TestSkips(t *testing.T) { t.Log("first"); t.Skip("needs root: run as root") }
func TestSkipsSilently(t *testing.T) { t.SkipNow() }
func TestParent(t *testing.T) {
	t.Run("good", func(t *testing.T) {})
	t.Run("bad", func(t *testing.T) { t.Error("child") })
	t.Run("none", func(t *testing.T) { t.Skip("kernel lacks wings") })
}
func TestParentItself(t *testing.T) { t.Run("good", func(t *testing.T) {}); t.Error("after") }
`,
		"dies/d_test.go":   "package dies\nimport (\"os\"; \"testing\")\nfunc TestDies(t *testing.T) { os.Exit(3) }\nfunc TestNever(t *testing.T) {}\n",
		"panics/p_test.go": "package panics\nimport \"testing\"\nfunc TestPanics(t *testing.T) { panic(\"oh\") }\n",
		"broken/b_test.go": "package broken\nimport \"testing\"\nfunc TestX(t *testing.T) { undefined() }\n",
		"main/m_test.go":   "package main_test\nimport (\"os\"; \"testing\")\nfunc TestMain(m *testing.M) { m.Run(); os.Exit(1) }\nfunc TestGood(t *testing.T) {}\n",
		"none/n.go":        "package none\n",
	})
	if err := r.goTest(context.Background(), "./..."); err != nil {
		t.Fatal(err)
	}
	sum := r.results.tally()
	var failed, notRun []string
	for _, k := range sum.failures {
		failed = append(failed, strings.TrimPrefix(k.String(), "example.org/m/"))
	}
	for _, k := range sum.notRun {
		notRun = append(notRun, k.test+": "+r.results[k].reason)
	}
	for _, test := range []struct {
		what, got, want string
	}{
		{"failures", strings.Join(failed, "\n"), "a TestFails\na TestParent/bad\na TestParentItself\nbroken\ndies TestDies\nmain\npanics TestPanics"},
		{"not run", strings.Join(notRun, "\n"), "TestParent/none: kernel lacks wings\nTestSkips: needs root: run as root\nTestSkipsSilently: no reason given"},
	} {
		if test.got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.what, test.got, test.want)
		}
	}
	// TestPasses, TestParent/good, TestParentItself/good, TestGood.
	if sum.passed != 4 || sum.failed != 7 || sum.skipped != 3 {
		t.Errorf("%d passed, %d failed, %d skipped", sum.passed, sum.failed, sum.skipped)
	}
	for k, want := range map[key]string{
		{"example.org/m/a", "TestFails"}:       "loud",
		{"example.org/m/panics", "TestPanics"}: "panic: oh",
		{"example.org/m/broken", ""}:           "undefined: undefined",
	} {
		if got := strings.Join(r.results[k].failure, ""); !strings.Contains(got, want) {
			t.Errorf("%s: shows %q, want %q in it", k, got, want)
		}
	}
	if r.summary(0, true) {
		t.Error("the run passes")
	}
}

// What kerneltest.Undisturbed has to run again is told, though it passed then.
func TestResultsBegunAnew(t *testing.T) {
	r := module(t, map[string]string{"a/a_test.go": `package a
import "testing"
func TestAtOnce(t *testing.T) { t.Log("a run 1 of 4 failed:") }
func TestLater(t *testing.T) { t.Logf("run 1 of 4 failed:\n%s", "a.go:1: why"); t.Logf("run 2 of 4 failed:\n%s", "why") }
`})
	if err := r.goTest(context.Background(), "./..."); err != nil {
		t.Fatal(err)
	}
	sum := r.results.tally()
	if len(sum.again) != 1 || sum.again[0].test != "TestLater" || r.results[sum.again[0]].again != 2 {
		t.Errorf("begun anew: %v", sum.again)
	}
	if !r.summary(0, true) {
		t.Error("the run fails")
	}
}

// A test that fails in one run of two has failed; one that ran once has run.
func TestResultsOfTwoRuns(t *testing.T) {
	event := func(action, test string) string {
		return `{"Action":"` + action + `","Package":"p","Test":"` + test + `"}` + "\n"
	}
	rs := results{}
	for _, run := range []string{
		event("run", "A") + event("fail", "A") + event("run", "B") + event("skip", "B"),
		event("run", "A") + event("pass", "A") + event("run", "B") + event("pass", "B"),
	} {
		if _, _, err := rs.read(strings.NewReader(run)); err != nil {
			t.Fatal(err)
		}
	}
	if sum := rs.tally(); sum.passed != 1 || sum.failed != 1 || sum.skipped != 0 || len(sum.again) != 0 {
		t.Errorf("%+v, want B passed and A failed", sum)
	}
}

func TestReasonOverLines(t *testing.T) {
	got := reason([]string{"=== RUN   TestX\n", "    x_test.go:3: earlier\n", "    x_test.go:7: kernel lacks\n", "        wings\n", "--- SKIP: TestX (0.00s)\n"})
	if want := "kernel lacks wings"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHiddenSkips(t *testing.T) {
	rs := results{}
	var notRun []key
	for test, why := range map[string]string{
		"TestRootA": "kernel lacks wings: find wings: kernel lacks it", "TestRootB": "needs root: run as root",
		"TestRootC/sub": "no reason given", "TestD": "needs time: run make soak",
	} {
		rs.of("p", test).reason = why
		notRun = append(notRun, key{"p", test})
	}
	bad := map[string]bool{}
	for _, k := range hiddenSkips(rs, notRun, true) {
		bad[k.test] = true
	}
	if len(bad) != 2 || !bad["TestRootB"] || !bad["TestRootC/sub"] {
		t.Errorf("as root: %v, want TestRootB and TestRootC/sub", bad)
	}
	if got := hiddenSkips(rs, notRun, false); len(got) != 0 {
		t.Errorf("as an ordinary user: %v", got)
	}
}

// The guards and the runner agree on how a reason begins.
func TestGuardsWords(t *testing.T) {
	text, err := os.ReadFile("../../internal/kerneltest/guard.go")
	if err != nil {
		t.Fatal(err)
	}
	if want := `LacksFeature = "` + kernelLacks + `"`; !strings.Contains(string(text), want) {
		t.Errorf("kerneltest does not say %s", want)
	}
}

func TestUsesConcurrency(t *testing.T) {
	for text, want := range map[string]bool{
		"func f() {\n\tgo func() {}()\n}": true, "\tgo s.serve(l)\n": true, "import (\n\t\"sync\"\n)": true,
		"\tc := make(chan int)\n": true, "// go vet is a program\nvar x int\n": false, "package a\n": false,
	} {
		if got := usesConcurrency(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
