package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// fuzz runs each fuzz target for a while, as many at once as there are processors,
// each with a worker of its own: each is a value of the go command's -fuzztime. What
// makes one fail is left in its testdata, as the go command does.
func (r *repo) fuzz(ctx context.Context, each string) error {
	out, err := r.output(ctx, "go", "test", "-list", "^Fuzz", "./...")
	if err != nil {
		return err
	}
	targets := fuzzTargets(out)
	errs := make([]error, len(targets))
	var atOnce sync.WaitGroup
	for worker := range runtime.NumCPU() {
		atOnce.Go(func() {
			for i := worker; i < len(targets) && ctx.Err() == nil; i += runtime.NumCPU() {
				errs[i] = r.fuzzOne(ctx, targets[i], each)
			}
		})
	}
	atOnce.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.said = fmt.Sprintf("%d targets, %s each", len(targets), each)
	return errors.Join(errs...)
}

func (r *repo) fuzzOne(ctx context.Context, t key, each string) error {
	args := []string{"test", "-run", "^$", "-fuzz", "^" + t.test + "$", "-fuzztime", each, "-fuzzminimizetime", "10x", "-parallel", "1", t.pkg}
	out, err := r.output(ctx, "go", args...)
	// On a busy machine the go command may report its own deadline as a
	// failure, with no input to show.
	for again := 3; again > 0 && deadlineAlone(err); again-- {
		out, err = r.output(ctx, "go", args...)
	}
	if err == nil && !strings.Contains(out, "fuzz: elapsed:") {
		return fmt.Errorf("fuzz %s in %s: go test ran no fuzzing\n%s", t.test, t.pkg, out)
	}
	return err
}

func deadlineAlone(err error) bool {
	return err != nil && strings.Contains(err.Error(), "context deadline exceeded") && !strings.Contains(err.Error(), "Failing input")
}

// fuzzTargets reads "go test -list": the names of a package's targets, then a
// line "ok  PACKAGE  TIME".
func fuzzTargets(list string) (targets []key) {
	var names []string
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		switch {
		case len(f) == 1 && strings.HasPrefix(f[0], "Fuzz"):
			names = append(names, f[0])
		case len(f) >= 2 && f[0] == "ok":
			for _, name := range names {
				targets = append(targets, key{f[1], name})
			}
			names = nil
		}
	}
	return targets
}
