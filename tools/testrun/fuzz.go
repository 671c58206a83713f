package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

const fuzzFolder = "fuzz" // of the binaries, in the temporary one

// fuzzed is a package with fuzz targets, compiled for fuzzing once for all of them, which
// "go test -fuzz" would link anew for each.
type fuzzed struct {
	path, dir string // import path and folder
	binary    string
	corpus    string // where the go command keeps what it found
	targets   []string
}

// fuzz runs each fuzz target for a while, as many at once as there are processors,
// each with a worker of its own: each is a value of the go command's -fuzztime. What
// makes one fail is left in its testdata, as the go command does.
func (r *repo) fuzz(ctx context.Context, each string) error {
	pkgs, err := r.fuzzedPackages(ctx)
	if err != nil {
		return err
	}
	folder := filepath.Join(r.temp, fuzzFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := atOnce(ctx, len(pkgs), func(i int) error { return pkgs[i].compile(ctx, r) }); err != nil {
		return err
	}
	type one struct {
		pkg    *fuzzed
		target string
	}
	var all []one
	for _, pkg := range pkgs {
		for _, target := range pkg.targets {
			all = append(all, one{pkg, target})
		}
	}
	r.said = fmt.Sprintf("%d targets, %s each", len(all), each)
	return atOnce(ctx, len(all), func(i int) error { return r.fuzzOne(ctx, all[i].pkg, all[i].target, each) })
}

// atOnce does n things, as many at once as there are processors, and gives the errors
// of all.
func atOnce(ctx context.Context, n int, do func(int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := range next {
				errs[i] = do(i)
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

// fuzzedPackages lists the packages of the main module whose tests name a fuzz target.
func (r *repo) fuzzedPackages(ctx context.Context) (pkgs []*fuzzed, err error) {
	cache, err := r.output(ctx, "go", "env", "GOCACHE")
	if err != nil {
		return nil, err
	}
	out, err := r.output(ctx, "go", "list", "-f", `{{.ImportPath}}	{{.Dir}}	{{join .TestGoFiles "/"}}/{{join .XTestGoFiles "/"}}`, "./...")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		found := false
		for name := range strings.SplitSeq(f[2], "/") {
			if name == "" || found {
				continue
			}
			text, err := os.ReadFile(filepath.Join(f[1], name))
			if err != nil {
				return nil, err
			}
			found = strings.Contains(string(text), "\nfunc Fuzz")
		}
		if found {
			pkgs = append(pkgs, &fuzzed{
				path: f[0], dir: f[1],
				binary: filepath.Join(r.temp, fuzzFolder, strings.ReplaceAll(f[0], "/", "-")+".test"),
				corpus: filepath.Join(strings.TrimSpace(cache), "fuzz", filepath.FromSlash(f[0])),
			})
		}
	}
	return pkgs, nil
}

// compile makes the package's binary and asks it for its targets.
func (pkg *fuzzed) compile(ctx context.Context, r *repo) error {
	if _, err := r.output(ctx, "go", "test", "-c", "-fuzz", ".", "-o", pkg.binary, pkg.path); err != nil {
		return err
	}
	out, err := pkg.run(ctx, r, "-test.list", "^Fuzz")
	if err != nil {
		return fmt.Errorf("list the fuzz targets of %s: %w\n%s", pkg.path, err, out)
	}
	for line := range strings.Lines(out) {
		if name := strings.TrimSpace(line); strings.HasPrefix(name, "Fuzz") {
			pkg.targets = append(pkg.targets, name)
		}
	}
	if len(pkg.targets) == 0 {
		return fmt.Errorf("list the fuzz targets of %s: its binary has none\n%s", pkg.path, out)
	}
	return nil
}

func (r *repo) fuzzOne(ctx context.Context, pkg *fuzzed, target, each string) error {
	args := []string{
		"-test.paniconexit0", "-test.run", "^$", "-test.fuzz", "^" + target + "$", "-test.fuzztime", each,
		"-test.fuzzminimizetime", "10x", "-test.parallel", "1", "-test.fuzzcachedir", pkg.corpus,
	}
	out, err := pkg.run(ctx, r, args...)
	// On a busy machine its own deadline may be reported as a failure, with no input
	// to show.
	for again := 3; again > 0 && err != nil && deadlineAlone(out); again-- {
		out, err = pkg.run(ctx, r, args...)
	}
	switch {
	case err != nil:
		return fmt.Errorf("fuzz %s in %s: %w\n%s", target, pkg.path, err, out)
	case !strings.Contains(out, "fuzz: elapsed:"):
		return fmt.Errorf("fuzz %s in %s: no fuzzing was done\n%s", target, pkg.path, out)
	}
	return nil
}

// run runs the binary in the folder of its package, as "go test" does, and gives all that
// it printed.
func (pkg *fuzzed) run(ctx context.Context, r *repo, args ...string) (string, error) {
	cmd := r.command(ctx, pkg.binary, args...)
	cmd.Dir = pkg.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func deadlineAlone(out string) bool {
	return strings.Contains(out, "context deadline exceeded") && !strings.Contains(out, "Failing input")
}
