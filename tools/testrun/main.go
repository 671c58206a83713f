// Command testrun is "make test": it checks and tests the whole repository and
// says what passed, what failed, what did not run and why, and what the tests
// left behind.
//
// It runs from the root of the repository, and needs only Go, and the network
// where a module or, as root, a Debian package is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// phase is one part of the run. Its error fails the run and does not end it.
type phase struct {
	name  string
	do    func(context.Context) error
	tests bool // it runs our tests, which may leave things behind
}

// run does all phases, or those that args name.
func run(ctx context.Context, args []string) (ok bool, err error) {
	flags := flag.NewFlagSet("testrun", flag.ContinueOnError)
	root := flags.String("root", ".", "root of the repository")
	fuzzTime := flags.String("fuzztime", "3s", "how long, or how often (100x), to fuzz each target")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: testrun [flags] [phase…]\nphases: packages generate format vet staticcheck build test race fuzz alone")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	r, err := newRepo(*root)
	if err != nil {
		return false, err
	}
	defer r.close()

	known := []phase{
		{"packages", r.installPackages, false},
		{"generate", r.checkGenerated, false},
		{"format", r.checkFormat, false},
		{"vet", r.vet, false},
		{"staticcheck", r.staticcheck, false},
		{"build", r.build, false},
		{"test", r.test, true},
		{"race", r.race, true},
		{"fuzz", func(ctx context.Context) error { return r.fuzz(ctx, *fuzzTime) }, true},
		{"alone", r.alone, true},
	}
	phases, err := choose(known, flags.Args())
	if err != nil {
		return false, err
	}
	before := r.look()
	began := time.Now()
	for _, p := range phases {
		r.timed(ctx, p)
		if ctx.Err() != nil {
			r.failures = append(r.failures, "interrupted during "+p.name)
			break
		}
	}
	tested := slices.ContainsFunc(phases, func(p phase) bool { return p.tests })
	if tested {
		r.timed(ctx, phase{"leftovers", func(context.Context) error { return r.checkLeftovers(before) }, false})
	}
	return r.summary(time.Since(began), tested), nil
}

func choose(known []phase, names []string) ([]phase, error) {
	if len(names) == 0 {
		return known, nil
	}
	var chosen []phase
	for _, name := range names {
		found := false
		for _, p := range known {
			if p.name == name {
				chosen, found = append(chosen, p), true
			}
		}
		if !found {
			return nil, fmt.Errorf("choose phase %q: no such phase; see testrun -h", name)
		}
	}
	return chosen, nil
}

// repo is the repository under test and what is known of its run.
type repo struct {
	root     string
	temp     string // TMPDIR of everything that runs
	mark     string // "NAME=value" in the environment of everything that runs
	results  results
	failures []string // of phases other than tests
	notes    []string // what did not run, other than tests
	said     string   // what the phase did, for its line
}

func newRepo(root string) (*repo, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return nil, fmt.Errorf("find the repository: %w; run from its root", err)
	}
	temp, err := os.MkdirTemp("", "tcpvet-testrun-")
	if err != nil {
		return nil, err
	}
	// Tests that give up root still need a place for files.
	if err := os.Chmod(temp, 0o777|os.ModeSticky); err != nil {
		return nil, err
	}
	return &repo{
		root: root, temp: temp, results: results{},
		mark: fmt.Sprintf("TCPVET_TESTRUN=%d-%d", os.Getpid(), time.Now().UnixNano()),
	}, nil
}

func (r *repo) close() { os.RemoveAll(r.temp) }

// timed runs a phase and prints its line.
func (r *repo) timed(ctx context.Context, p phase) {
	r.said = ""
	began, failed := time.Now(), r.results.tally().failed
	err := p.do(ctx)
	verdict := "ok"
	if r.results.tally().failed > failed {
		verdict = "FAILED" // which, the summary says
	}
	if err != nil {
		verdict = "FAILED"
		fmt.Printf("%v\n", err)
		r.failures = append(r.failures, p.name+": "+firstLine(err.Error()))
	}
	fmt.Printf("%-12s %7.1f s  %s", p.name, time.Since(began).Seconds(), verdict)
	if r.said != "" {
		fmt.Printf("  %s", r.said)
	}
	fmt.Println()
}

func firstLine(s string) string {
	line, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more {
		line += " …"
	}
	return line
}

// command prepares a program to run at the root, in a process group of its own
// that ends with ctx. Modules are those of go.mod, whatever workspace is about:
// users get those. In a nested module (-C) they are those of the repository's own.
func (r *repo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.root
	// A program with the race detector sleeps a second before it ends, for what other
	// threads may still tell; tests begin hundreds of them.
	cmd.Env = append(os.Environ(), r.mark, "TMPDIR="+r.temp, "GOWORK=off", "GORACE=atexit_sleep_ms=10")
	if len(args) > 0 && args[0] == "-C" {
		cmd.Env = append(cmd.Env, r.workspace())
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// workspace is for nested modules: one that imports the main module has it by go.work,
// since no proxy has what is being worked on.
func (r *repo) workspace() string {
	path, err := filepath.Abs(filepath.Join(r.root, "go.work"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "GOWORK=off"
	}
	return "GOWORK=" + path
}

// output runs a program and gives its standard output; an error carries all
// that it printed.
func (r *repo) output(ctx context.Context, name string, args ...string) (string, error) {
	var out, errs strings.Builder
	cmd := r.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err,
			strings.TrimSpace(out.String()+errs.String()))
	}
	return out.String(), nil
}

func have(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
