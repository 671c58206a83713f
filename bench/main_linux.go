// Command bench measures tcpvet beside ss, netstat and lsof on populations of
// real sockets, which it stages in network and process namespaces of its own, and
// beside tshark and tcpdump on a recording, and writes docs/benchmarks.md. It fails where a figure misses its bar.
//
//	go run ./bench                everything; needs root and some minutes
//	go run ./bench -only a,d      some populations; writes nothing
//	go run ./bench -scale 0.01    smaller ones; writes nothing
//
// What decides is CPU time, user and system, of whole commands with their
// children, as a ratio of two commands of one run that took turns: wall time
// and absolute times say as much about the machine.
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

	"github.com/tcpvet/tcpvet/internal/kernel"
)

func main() {
	if inside() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "populations to measure: `LETTERS` separated by commas")
	scale := flags.Float64("scale", 1, "`SHARE` of each population to stage")
	out := flags.String("o", "docs/benchmarks.md", "`FILE` to write when everything was measured")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *scale <= 0 || *scale > 1 {
		return fmt.Errorf("read -scale %v: want more than 0, at most 1", *scale)
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if err := kernel.NetNamespaces(); err != nil {
		return fmt.Errorf("stage populations: %w", err)
	}
	tools, err := os.MkdirTemp("", "tcpvet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tools)
	bin := filepath.Join(tools, "tcpvet")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./cmd/tcpvet")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build tcpvet: %w\n%s", err, text)
	}

	var results []result
	for _, p := range chosen {
		fmt.Fprintf(os.Stderr, "(%s) %s\n", p.letter, p.title)
		r, err := stageAndMeasure(ctx, order{Letter: p.letter, Scale: *scale, Tools: tools})
		if err != nil {
			return fmt.Errorf("population (%s): %w", p.letter, err)
		}
		results = append(results, r)
	}
	text, missed := page(time.Now(), results)
	fmt.Print(text)
	if *only == "" && *scale == 1 {
		if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, "; "))
	}
	return nil
}

func choose(only string) ([]population, error) {
	if only == "" {
		return populations, nil
	}
	var chosen []population
	for letter := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(populations, func(p population) bool { return p.letter == letter })
		if i < 0 {
			return nil, fmt.Errorf("read -only: there is no population %q", letter)
		}
		chosen = append(chosen, populations[i])
	}
	return chosen, nil
}
