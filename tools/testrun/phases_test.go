package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestListed(t *testing.T) {
	got := listed("# why\niproute2   # ss\n\nlsof\n")
	if want := []string{"iproute2", "lsof"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMissing(t *testing.T) {
	if !have("dpkg-query") {
		t.Skip("needs program dpkg-query: this is not Debian")
	}
	r := module(t, map[string]string{})
	if got := r.missing(context.Background(), []string{"dpkg", "no-such-package"}); !slices.Equal(got, []string{"no-such-package"}) {
		t.Errorf("missing %q, want no-such-package", got)
	}
}

func TestCheckFormat(t *testing.T) {
	r := module(t, map[string]string{"good.go": "package m\n"})
	if err := r.checkFormat(context.Background()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(r.root, "bad.go"), []byte("package  m\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.checkFormat(context.Background()); err == nil || !strings.Contains(err.Error(), "bad.go") {
		t.Errorf("got %v, want bad.go named", err)
	}
}

// The go command and git judge what the phase reports.
func TestCheckGenerated(t *testing.T) {
	if !have("git") {
		t.Skip("needs program git: install Debian package git")
	}
	r := module(t, map[string]string{
		"a.go":     "package m\n\n//go:generate sh -c \"echo fresh > made.txt\"\n",
		"made.txt": "fresh\n",
	})
	ctx := context.Background()
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		if _, err := r.output(ctx, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.checkGenerated(ctx); err != nil {
		t.Errorf("fresh: %v", err)
	}
	if err := os.WriteFile(filepath.Join(r.root, "made.txt"), []byte("stale\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.output(ctx, "git", "add", "."); err != nil {
		t.Fatal(err)
	}
	if err := r.checkGenerated(ctx); err == nil || !strings.Contains(err.Error(), "made.txt") {
		t.Errorf("stale: got %v, want made.txt named", err)
	}
}

// Where the compiler of the BPF objects is missing, its directives are left out, and
// that is said.
func TestCheckGeneratedWithoutCompiler(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"go", "git", "sh"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip("needs program " + name)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	r := module(t, map[string]string{
		"a.go":     "package m\n\n//go:generate " + bpfCompiler + " object.c\n//go:generate sh -c \"echo fresh > made.txt\"\n",
		"made.txt": "stale\n",
	})
	ctx := context.Background()
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		if _, err := r.output(ctx, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.checkGenerated(ctx); err == nil || !strings.Contains(err.Error(), "made.txt") {
		t.Errorf("got %v, want made.txt named: the other directives are to run", err)
	}
	if len(r.notes) != 1 || !strings.Contains(r.notes[0], bpfCompiler) {
		t.Errorf("notes %q, want one that names %s", r.notes, bpfCompiler)
	}
}

func TestFuzz(t *testing.T) {
	r := module(t, map[string]string{
		"a/a_test.go": "package a\nimport \"testing\"\nfunc FuzzGood(f *testing.F) { f.Fuzz(func(*testing.T, []byte) {}) }\n",
		"b/b_test.go": "package b\nimport \"testing\"\nfunc FuzzBad(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) { t.Error(\"found\") }) }\nfunc FuzzBadToo(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) {}) }\n",
	})
	err := r.fuzz(context.Background(), "100x") // by number: a busy machine starts nothing in a short time
	if err == nil || !strings.Contains(err.Error(), "FuzzBad") || strings.Contains(err.Error(), "FuzzGood") || strings.Contains(err.Error(), "FuzzBadToo ") {
		t.Errorf("got %v, want FuzzBad alone", err)
	}
	if !strings.HasPrefix(r.said, "3 targets, 100x each") {
		t.Errorf("said %q, want 3 targets, 100x each", r.said)
	}
	if left, err := os.ReadDir(r.temp); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestChoose(t *testing.T) {
	known := []phase{{name: "a"}, {name: "b"}, {name: "c"}}
	if got, err := choose(known, []string{"c", "a"}); err != nil || len(got) != 2 || got[0].name != "c" || got[1].name != "a" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := choose(known, []string{"d"}); err == nil {
		t.Error("an unknown phase passes")
	}
}

// The tests of a module inside run with its own go.mod, and once.
func TestNested(t *testing.T) {
	inner := "package inner\nimport \"testing\"\nfunc TestInner(t *testing.T) { %s }\n"
	r := module(t, map[string]string{
		"a/a_test.go":           "package a\nimport \"testing\"\nfunc TestOuter(*testing.T) {}\n",
		"b/inner/go.mod":        "module inner\n\ngo 1.26.0\n",
		"b/inner/inner.go":      "package inner\nimport \"sync\"\nvar M sync.Mutex\n",
		"b/inner/inner_test.go": fmt.Sprintf(inner, "t.Error(M.TryLock())"),
		"a/testdata/m/go.mod":   "module m\n",
	})
	if got, err := r.nested(); err != nil || !slices.Equal(got, []string{"b/inner"}) {
		t.Errorf("modules %q, %v, want b/inner", got, err)
	}
	if pkgs, err := r.concurrent(t.Context()); err != nil || len(pkgs) != 0 {
		t.Errorf("concurrent %q, %v, want none: the other module is not of the main one's packages", pkgs, err)
	}
	if err := errors.Join(r.test(t.Context()), r.vet(t.Context())); err != nil {
		t.Error(err)
	}
	var ran []string
	for k := range r.results {
		if k.test != "" { // else it is the package's own result
			ran = append(ran, k.test)
		}
	}
	slices.Sort(ran)
	if !slices.Equal(ran, []string{"TestInner", "TestOuter"}) {
		t.Errorf("ran %q", ran)
	}
}

func TestLongestFirst(t *testing.T) {
	long := strings.Repeat("// much\n", 100)
	r := module(t, map[string]string{
		"a/a_test.go":                     "package a\n",
		"b/b_test.go":                     "package b\n" + long,
		"c/c_test.go":                     "package c\n",
		"c/testdata/script/root/do.txtar": long + long,
		"d/d.go":                          "package d\n" + long + long + long,
	})
	pkgs := []string{"./d", "./a", "./b", "./c"}
	r.longestFirst(pkgs)
	if want := []string{"./c", "./b", "./a", "./d"}; !slices.Equal(pkgs, want) {
		t.Errorf("got %q, want %q", pkgs, want)
	}
}
