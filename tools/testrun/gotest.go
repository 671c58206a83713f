package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// test runs every test of every module once, as the binary is released: without
// the race detector.
func (r *repo) test(ctx context.Context) error {
	return errors.Join(
		r.goTest(ctx, "-count=1", "./..."),
		r.goTest(ctx, "-C", "tools", "-count=1", "./..."),
	)
}

// race runs the tests of packages that start goroutines or share memory again,
// with the race detector.
func (r *repo) race(ctx context.Context) error {
	if !have("gcc") && !have("clang") {
		r.notes = append(r.notes, "race: the race detector needs a C compiler (Debian package gcc)")
		return nil
	}
	pkgs, err := r.concurrent(ctx)
	if err != nil || len(pkgs) == 0 {
		return err
	}
	r.said = fmt.Sprintf("%d packages", len(pkgs))
	return r.goTest(ctx, append([]string{"-race", "-count=1"}, pkgs...)...)
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

// concurrent lists the packages, as ./folder, whose own code uses goroutines,
// channels or package sync. What only a test starts ends with the test, and the
// scripts of cmd/tcpvet would play everything once more, at a tenth of the speed.
func (r *repo) concurrent(ctx context.Context) (pkgs []string, err error) {
	files, err := r.goFiles(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, f := range files {
		dir := "./" + filepath.ToSlash(filepath.Dir(f))
		if seen[dir] || strings.HasSuffix(f, "_test.go") || strings.HasPrefix(f, "tools/") || strings.Contains(f, "testdata/") {
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
