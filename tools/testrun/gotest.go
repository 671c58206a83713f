package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// test runs the tests of every module, without the race detector but for packages
// that the race phase runs.
func (r *repo) test(ctx context.Context) error {
	pkgs, err := r.plain(ctx)
	if err != nil {
		return err
	}
	r.longestFirst(pkgs)
	errs := []error{r.goTest(ctx, append([]string{"-count=1"}, pkgs...)...)}
	nested, err := r.nested()
	if err != nil {
		return err
	}
	for _, dir := range nested {
		errs = append(errs, r.goTest(ctx, "-C", dir, "-count=1", "./..."))
	}
	return errors.Join(errs...)
}

// race runs the tests of packages that start goroutines or share memory, with the
// race detector.
func (r *repo) race(ctx context.Context) error {
	if !detectsRaces() {
		r.notes = append(r.notes, "race: the race detector needs a C compiler (Debian package gcc); the tests ran without it")
		return nil
	}
	pkgs, err := r.concurrent(ctx)
	if err != nil || len(pkgs) == 0 {
		return err
	}
	r.said = fmt.Sprintf("%d packages", len(pkgs))
	r.longestFirst(pkgs)
	return r.goTest(ctx, append([]string{"-race", "-count=1"}, pkgs...)...)
}

// longestFirst orders packages by how much there is to test, for go test begins them in
// that order: a long one that begins last runs on alone.
func (r *repo) longestFirst(pkgs []string) {
	size := map[string]int64{}
	for _, pkg := range pkgs {
		for _, pattern := range []string{"*_test.go", "testdata/script/*.txtar", "testdata/script/*/*.txtar"} {
			files, _ := filepath.Glob(filepath.Join(r.root, pkg, pattern)) // the pattern is sound
			for _, file := range files {
				if fi, err := os.Stat(file); err == nil {
					size[pkg] += fi.Size()
				}
			}
		}
	}
	slices.SortStableFunc(pkgs, func(a, b string) int { return cmp.Compare(size[b], size[a]) })
}

// raced lists the packages that the race phase runs, as ./folder.
func (r *repo) raced(ctx context.Context) ([]string, error) {
	if !detectsRaces() {
		return nil, nil
	}
	return r.concurrent(ctx)
}

func detectsRaces() bool { return have("gcc") || have("clang") }

// plain lists the packages of the main module that the race phase does not run.
func (r *repo) plain(ctx context.Context) ([]string, error) {
	out, err := r.output(ctx, "go", "list", "-f", "{{.Dir}}", "./...")
	if err != nil {
		return nil, err
	}
	raced, err := r.raced(ctx)
	if err != nil {
		return nil, err
	}
	var pkgs []string
	for dir := range strings.FieldsSeq(out) {
		rel, err := filepath.Rel(r.root, dir)
		if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		if pkg := "./" + filepath.ToSlash(rel); !slices.Contains(raced, pkg) {
			pkgs = append(pkgs, pkg)
		}
	}
	return pkgs, nil
}

// goTest adds one run of "go test" to the results. Failing tests are for the
// summary; its error says that go test itself could not do its work.
func (r *repo) goTest(ctx context.Context, args ...string) error {
	dir := []string{}
	if args[0] == "-C" {
		dir, args = args[:2], args[2:]
	}
	cmd := r.command(ctx, "go", append(append(dir, "test", "-json", "-timeout=10m"), args...)...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	other, failed, readErr := r.results.read(pipe)
	err = cmd.Wait()
	if readErr != nil {
		return readErr
	}
	// That a test or a package failed is among the results.
	if err != nil && !failed {
		return fmt.Errorf("go test %s: %w\n%s\n%s", strings.Join(args, " "), err, strings.Join(other, "\n"), errs.String())
	}
	return nil
}

// staged are packages whose goroutines run in other processes, which share nothing
// with each other but sockets: a race would be within one act.
var staged = []string{"./lab/scenarios", "./bench"}

// concurrent lists the packages, as ./folder, whose own code uses goroutines,
// channels or package sync, but for those that are staged. What only a test starts
// ends with the test, and the scripts of cmd/tcpvet would play everything once more,
// at a tenth of the speed.
func (r *repo) concurrent(ctx context.Context) (pkgs []string, err error) {
	files, err := r.goFiles(ctx)
	if err != nil {
		return nil, err
	}
	nested, err := r.nested()
	if err != nil {
		return nil, err
	}
	others := func(f string) bool {
		return slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(f, dir+"/") })
	}
	seen := map[string]bool{}
	for _, f := range files {
		dir := "./" + filepath.ToSlash(filepath.Dir(f))
		if seen[dir] || slices.Contains(staged, dir) || strings.HasSuffix(f, "_test.go") || others(filepath.ToSlash(f)) || strings.Contains(f, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(r.root, f))
		if err != nil {
			return nil, err
		}
		if usesConcurrency(string(text)) {
			seen[dir] = true
			pkgs = append(pkgs, dir)
		}
	}
	return pkgs, nil
}

func usesConcurrency(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == `"sync"` || line == `"sync/atomic"` || strings.HasPrefix(line, "go func(") ||
			strings.HasPrefix(line, "go ") && strings.HasSuffix(line, ")") || strings.Contains(line, "make(chan ") {
			return true
		}
	}
	return false
}
