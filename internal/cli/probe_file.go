package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/vet"
)

// measured adds the limits that the files of --probe hold. What holds none is said on
// standard error: nothing is judged by it.
func (j *judging) measured(ctx context.Context, l *look) error {
	stdin := 0
	for _, name := range append(slices.Clone(l.from), j.probes...) {
		if name == "-" {
			stdin++
		}
	}
	if stdin > 1 && slices.Contains(j.probes, "-") {
		return usage("standard input can be read once: give files to --from and --probe")
	}
	for _, name := range j.probes {
		all, err := readProbes(ctx, l.stdio.In, name)
		if err != nil {
			return &exit{statusBlind, fmt.Errorf("--probe %s: %w", vet.Plain(name), err)}
		}
		for i := range all {
			limits, err := all[i].Limits()
			if err != nil {
				return &exit{statusBlind, fmt.Errorf("--probe %s: %w", vet.Plain(name), err)}
			}
			j.limits = append(j.limits, limits...)
			why := ""
			switch {
			case all[i].EndedOtherwise():
				why = fmt.Sprintf("%s ended connections, but not for being idle after use: with the first answer, all at once, or before anything was said (tcpvet probe idle --write says something)", vet.Plain(all[i].Target))
			case len(limits) == 0:
				why = "no limit was found of " + vet.Plain(all[i].Target)
			}
			if why != "" {
				fmt.Fprintf(l.stdio.Err, "tcpvet: --probe %s: %s, so nothing is judged by it\n", vet.Plain(name), why)
			}
		}
	}
	return nil
}

func readProbes(ctx context.Context, stdin io.Reader, name string) ([]jsonv1.Probe, error) {
	if name == "-" {
		all, err := jsonv1.ReadProbes(newInterruptible(ctx, stdin))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return all, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return jsonv1.ReadProbes(newInterruptible(ctx, f)) // it may be a pipe
}
