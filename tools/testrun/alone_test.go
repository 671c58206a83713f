package main

import (
	"context"
	"strings"
	"testing"
)

// busy fails where its file is not there yet, and makes it.
const busy = `package p
import ("os"; "testing")
func first(t *testing.T, name string) {
	if _, err := os.Stat(name); err != nil {
		os.WriteFile(name, nil, 0o600)
		t.Error("too busy")
	}
}
`

func afterAlone(t *testing.T, files map[string]string) (*repo, string) {
	t.Helper()
	r := module(t, files)
	ctx := context.Background()
	if err := r.goTest(ctx, "-count=1", "./..."); err != nil {
		t.Fatal(err)
	}
	if err := r.alone(ctx); err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, k := range r.results.tally().failures {
		failed = append(failed, strings.TrimPrefix(k.String(), "example.org/m/"))
	}
	return r, strings.Join(failed, ", ")
}

func TestAlone(t *testing.T) {
	r, failed := afterAlone(t, map[string]string{
		"p/p_test.go": busy + `
func TestOnce(t *testing.T) { first(t, "once") }
func TestGood(t *testing.T) {}
func TestParent(t *testing.T) {
	t.Run("a b", func(t *testing.T) { first(t, "part") })
	t.Run("good", func(t *testing.T) {})
}
`,
		"q/q_test.go": "package q\nimport \"testing\"\nfunc TestEachTime(t *testing.T) { t.Error(\"wrong\") }\n",
	})
	if failed != "q TestEachTime" {
		t.Errorf("failed: %s", failed)
	}
	sum := r.results.tally()
	if sum.passed != 4 || sum.failed != 1 || len(sum.again) != 2 {
		t.Errorf("%d passed, %d failed, again %v", sum.passed, sum.failed, sum.again)
	}
	for _, k := range sum.again {
		if text := strings.Join(r.results[k].failure, ""); !r.results[k].alone || !strings.Contains(text, "too busy") {
			t.Errorf("%s: %+v", k, r.results[k])
		}
	}
}

// A parent that failed by itself as well goes on to be one.
func TestAloneParent(t *testing.T) {
	_, failed := afterAlone(t, map[string]string{"p/p_test.go": busy + `
func TestParent(t *testing.T) {
	if !t.Run("part", func(t *testing.T) { first(t, "part") }) { t.Error("wrong") }
}
`})
	if failed != "p TestParent" {
		t.Errorf("failed: %s", failed)
	}
}

// One that fails every other time is no right one.
func TestAloneTwice(t *testing.T) {
	_, failed := afterAlone(t, map[string]string{"p/p_test.go": `package p
import ("os"; "testing")
func TestEveryOther(t *testing.T) {
	if os.Remove("was") == nil { return }
	os.WriteFile("was", nil, 0o600)
	t.Error("wrong")
}
`})
	if failed != "p TestEveryOther" {
		t.Errorf("failed: %s", failed)
	}
}

func TestAloneBeyondDoubt(t *testing.T) {
	for what, test := range map[string]struct{ body, want string }{
		"race":  {`func TestX(t *testing.T) { first(t, "x"); if t.Failed() { t.Log("WARNING: DATA RACE") } }`, "p TestX"},
		"panic": {`func TestX(t *testing.T) { first(t, "x"); if t.Failed() { panic("oh") } }`, "p TestX"},
		"exit":  {`func TestX(t *testing.T) { first(t, "x"); if t.Failed() { os.Exit(3) } }`, "p TestX"},
		"main":  {`func TestMain(m *testing.M) { m.Run(); if _, err := os.Stat("x"); err != nil { os.WriteFile("x", nil, 0o600); os.Exit(1) } }` + "\nfunc TestX(t *testing.T) {}", "p"},
		"many":  {"func TestA(t *testing.T) { first(t, `a`) }\nfunc TestB(t *testing.T) { first(t, `b`) }\nfunc TestC(t *testing.T) { first(t, `c`) }\nfunc TestD(t *testing.T) { first(t, `d`) }", "p TestA, p TestB, p TestC, p TestD"},
		"fuzz":  {`func FuzzX(f *testing.F) { f.Add(1); f.Fuzz(func(t *testing.T, n int) { first(t, "x") }) }`, "p FuzzX/seed#0"},
	} {
		if _, failed := afterAlone(t, map[string]string{"p/p_test.go": busy + test.body}); failed != test.want {
			t.Errorf("%s: failed: %q, want %q", what, failed, test.want)
		}
	}
}
