package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/probe/path"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

func probeKeepaliveCommand(stdio IO) *cobra.Command {
	o := new(output)
	p := new(probingPath)
	cmd := &cobra.Command{
		Use:   "keepalive HOST:PORT",
		Short: "see whether a peer answers keepalive probes",
		Long: `keepalive opens a connection to HOST:PORT, sends nothing for a second, and then a few
keepalive probes, a second apart: segments without data that the kernel of the peer
answers. It says how many were answered, or that the connection was reset, closed, or
not answered at all: keepalive would then end connections to a peer that is there.

What answers is the other end of the TCP connection: a proxy or a balancer where there
is one. No data is sent, and no privilege is needed.

Exit status: 0 it answers, 1 it does not, 2 wrong usage, 3 it could not be asked.`,
		Example: `  tcpvet probe keepalive 10.0.3.7:5432
  tcpvet probe keepalive '[::1]:80' --probes 10
  tcpvet probe keepalive db.internal:5432 -o json | jq .answers`,
		Args:              func(_ *cobra.Command, args []string) error { return oneProbed("keepalive", args) },
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.keepalive(cmd.Context(), stdio, o, args[0])
		},
	}
	cmd.Flags().IntVar(&p.probes, "probes", 3, "send this many")
	p.flags(cmd)
	o.flags(cmd, "table", "json")
	return cmd
}

func (p *probingPath) keepalive(ctx context.Context, stdio IO, o *output, target string) error {
	if p.probes < 1 || p.probes > mostProbes {
		return usage("--probes %d: expected 1 to %d", p.probes, mostProbes)
	}
	options, err := p.options(target)
	if err != nil {
		return err
	}
	a, err := path.Answers(ctx, options)
	if err != nil {
		return unreached(ctx, target, err)
	}
	if o.format == "json" {
		err = document(stdio.Out, jsonv1.ProbeAnswersOf(a))
	} else {
		err = report.ProbeAnswers(stdio.Out, a, report.Style{Color: o.colored(stdio.Out), Width: width(stdio.Out, 100)})
	}
	if err != nil {
		return err
	}
	if a.Interrupted {
		return ctx.Err()
	}
	switch a.Fate {
	case probe.Answered:
		return nil
	case probe.Silent, probe.ResetAsked:
		return &exit{status: statusFindings}
	}
	return &exit{status: statusBlind}
}
