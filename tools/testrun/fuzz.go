package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// fuzz runs each fuzz target for a while, one after another. What makes one fail
// is left in its testdata, as the go command does.
func (r *repo) fuzz(ctx context.Context, each time.Duration) error {
	out, err := r.output(ctx, "go", "test", "-list", "^Fuzz", "./...")
	if err != nil {
		return err
	}
	targets := fuzzTargets(out)
	var errs []error
	for _, t := range targets {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.fuzzOne(ctx, t, each); err != nil {
			errs = append(errs, err)
		}
	}
	r.said = fmt.Sprintf("%d targets, %v each", len(targets), each)
	return errors.Join(errs...)
}

func (r *repo) fuzzOne(ctx context.Context, t key, each time.Duration) error {
	args := []string{"test", "-run", "^$", "-fuzz", "^" + t.test + "$", "-fuzztime", each.String(), "-fuzzminimizetime", "10x", t.pkg}
	out, err := r.output(ctx, "go", args...)
	// On a busy machine the go command may report its own deadline as a
	// failure, with no input to show.
	if err != nil && strings.Contains(err.Error(), "context deadline exceeded") && !strings.Contains(err.Error(), "Failing input") {
		out, err = r.output(ctx, "go", args...)
	}
	if err == nil && !strings.Contains(out, "fuzz: elapsed:") {
		return fmt.Errorf("fuzz %s in %s: go test ran no fuzzing\n%s", t.test, t.pkg, out)
	}
	return err
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
