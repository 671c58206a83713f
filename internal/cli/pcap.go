package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/capture/recording"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/vet"
)

func pcapCommand(stdio IO) *cobra.Command {
	f := &follow{stdio: stdio}
	one := new(closeUp)
	cmd := &cobra.Command{
		Use:   "pcap FILE...",
		Short: "say of each conversation in a recording how it opened and closed, who first, and what is wrong",
		Long: `pcap reads recordings of packets (pcap, pcapng, plain or compressed with gzip
or zstd, or the text that tcpdump printed; - is standard input), follows both
ends of each TCP connection through the states of RFC 9293, and prints a line
for each in the order of their closing, those that are still open last. What
many conversations with one service have in common follows as a finding.

In the column first stands who sent the first FIN, or the RST where there was no
FIN; in close-wait, how long the other end took to close. A note with a question
mark is likely: the wire does not decide it. With -o wide stands the number N that
--conversation takes; each recording has its own.

Exit status: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage, 3 a
recording was cut, or could not be read: what was readable is printed.`,
		Example: `  tcpvet pcap day.pcapng.zst
  tcpvet pcap day.pcap --filter 'dst 10.0.3.7:8080' --summary
  tcpvet pcap day.pcap --conversation 3 --svg close.svg
  tcpvet pcap day.pcap --packets -S
  tcpdump -nr day.pcap | tcpvet pcap -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("pcap: no recording is named; - is standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return pcap(cmd.Context(), f, one, args) },
	}
	f.flags(cmd)
	one.flags(cmd)
	return cmd
}

func pcap(ctx context.Context, f *follow, one *closeUp, files []string) error {
	f.ladder = one.number > 0
	if err := one.check(f, files); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	var bad error
	if i := slices.Index(files, "-"); i >= 0 && slices.Contains(files[i+1:], "-") {
		return usage("- was given twice: standard input can be read once")
	}
	f.named = len(files) > 1
	for _, name := range files {
		err := f.file(ctx, one, name)
		var printing *os.PathError // our own output
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &printing) && printing.Op == "write":
			return err
		case err != nil:
			fmt.Fprintln(f.stdio.Err, "tcpvet:", err)
			bad = &exit{status: statusBlind}
		}
	}
	if one.number > 0 {
		return errors.Join(one.print(f), bad)
	}
	if err := f.end(); err != nil {
		return err
	}
	return bad
}

// file follows one recording. What was readable of it is told, whatever follows.
func (f *follow) file(ctx context.Context, one *closeUp, name string) error {
	in := f.stdio.In
	shown := name
	if name == "-" {
		shown = "standard input"
	} else {
		file, err := os.Open(name)
		if err != nil {
			f.gap("recording", shown, err.Error())
			return err
		}
		defer file.Close()
		in = file
	}
	if name == "-" {
		in = newInterruptible(ctx, in)
	}
	r, err := recording.Open(in, recording.Options{
		Checksums: f.packets && f.out.format == "wide", Services: filter.ServicePort, Zone: f.zone(),
	})
	if err != nil {
		f.gap("recording", shown, err.Error())
		return fmt.Errorf("%s: %w", shown, err)
	}
	defer r.Close()
	err = f.run(untilDone{ctx, r}, capture.TrackerOptions{Dated: r.Dated(), File: shown}, func() error {
		if one.number > 0 {
			f.show = one
			return nil
		}
		if err := f.begin(r.Dated()); err != nil {
			return err
		}
		return f.heading(shown)
	})
	st := r.Stats()
	f.traffic.Files = append(f.traffic.Files, name)
	f.plain = r.Plain()
	if !strings.Contains(f.traffic.Source, r.Format()) {
		f.traffic.Source = strings.TrimPrefix(f.traffic.Source+"; "+r.Format(), "; ")
	}
	f.traffic.Packets += st.Packets
	f.unread(shown, st)
	var cut *recording.CutError
	if errors.As(err, &cut) {
		f.gap("the rest of the recording", shown, err.Error())
		return fmt.Errorf("%s: %w", shown, err)
	}
	return err
}

// unread tells what a recording held and could not be followed.
func (f *follow) unread(where string, st recording.Stats) {
	for _, part := range []struct {
		n    uint64
		what string
		err  string
	}{
		{st.Short, "packets of which too little was captured", "their TCP header is not whole: capture with -s 96 at least"},
		{st.Malformed, "damaged packets", st.Trouble},
		{st.Fragments, "fragments", "they have no TCP header: what they carry is counted nowhere"},
		{st.Forgotten, "conversations of the text", "too many at once: their later numbers stayed relative"},
	} {
		if part.n > 0 {
			f.gap(vet.Count(part.n)+" "+part.what, where, part.err)
		}
	}
}

// untilDone ends a feed when ctx does.
type untilDone struct {
	ctx  context.Context
	from feed
}

func (u untilDone) Next(s *capture.Segment) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	return u.from.Next(s)
}
