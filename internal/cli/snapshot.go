package cli

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/store"
)

func snapshotCommand(stdio IO) *cobra.Command {
	l := &look{stdio: stdio}
	cmd := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "save what diagnose would look at, to judge it later or elsewhere",
		Long: `snapshot writes everything that diagnose looks at to FILE (- for standard
output): sockets with their holders, the processes' command lines, the
namespaces' settings, counters and addresses, what the hosts files give for
localhost, and the files of sysctl.conf. --from reads it, and finds what would
have been found live. A name that ends in .gz is compressed.

Command lines can hold secrets: look before you send it to somebody.`,
		Example: `  tcpvet snapshot sick.jsonl.gz
  tcpvet diagnose --from sick.jsonl.gz
  tcpvet snapshot - | ssh me@desk tcpvet diagnose --from -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("snapshot takes one FILE, or - for standard output")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return snapshot(cmd.Context(), l, args[0]) },
	}
	l.flags(cmd)
	for _, name := range []string{"pid", "comm", "container", "state"} {
		// A part of the sockets would be judged as if it were all of them.
		cmd.Flags().MarkHidden(name)
	}
	return cmd
}

func snapshot(ctx context.Context, l *look, name string) error {
	if len(l.pids)+len(l.comms)+len(l.containers)+len(l.states) > 0 {
		return usage("a snapshot holds every socket: narrow when you read it with --from")
	}
	srcs, err := l.open(ctx, 1)
	if err != nil {
		return err
	}
	if name == "-" {
		sockets, gaps, err := writeSnapshot(ctx, l, srcs[0], l.stdio.Out)
		return l.reportSnapshot("standard output", sockets, gaps, err)
	}
	// Written beside and renamed: a FILE that exists stays until the new one is whole.
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tcpvet-snapshot-*")
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err // its path is that of the file beside
		}
		return &exit{statusBlind, fmt.Errorf("create snapshot %s: %w", name, err)}
	}
	defer os.Remove(tmp.Name())
	sockets, gaps, err := compressed(ctx, l, srcs[0], tmp, strings.HasSuffix(name, ".gz"))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	return l.reportSnapshot(name, sockets, gaps, err)
}

func compressed(ctx context.Context, l *look, src source.Source, w io.Writer, gz bool) (uint64, []tcpvet.Gap, error) {
	if !gz {
		return writeSnapshot(ctx, l, src, w)
	}
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
	sockets, gaps, err := writeSnapshot(ctx, l, src, z)
	return sockets, gaps, errors.Join(err, z.Close())
}

// keptGaps is a snapshot writer that remembers the gaps.
type keptGaps struct {
	*store.Writer
	gaps []tcpvet.Gap
}

func (k *keptGaps) Gap(g tcpvet.Gap) {
	k.gaps = append(k.gaps, g)
	k.Writer.Gap(g)
}

func writeSnapshot(ctx context.Context, l *look, src source.Source, w io.Writer) (uint64, []tcpvet.Gap, error) {
	q := source.Query{Want: judged, Netns: l.namespaces()}
	defer l.tellSource(src)
	looks := source.Settle(src, q)
	h := store.Header{Source: looks.Name(), Facts: source.Known(looks, q)}
	h.Taken, h.Host = source.Origin(src)
	h.Self, h.Whole = source.Scope(src, q)
	out := &keptGaps{Writer: store.NewWriter(w, h)}
	obs, end := watch(l.stdio.Err, out)
	err := looks.Look(ctx, q, obs)
	if errors.Is(err, source.ErrInconsistent) {
		obs.Gap(source.Inconsistent())
		err = nil
	}
	end()
	if err != nil {
		// Without its end line the file shows that it is not whole.
		return out.Sockets(), out.gaps, errors.Join(err, out.Abandon())
	}
	return out.Sockets(), out.gaps, out.Close()
}

func (l *look) reportSnapshot(name string, sockets uint64, gaps []tcpvet.Gap, err error) error {
	if err == nil {
		fmt.Fprintf(l.stdio.Err, "wrote %d sockets to %s\n", sockets, name)
	}
	warnGaps(l.stdio.Err, gaps)
	return l.after(err, gaps)
}
