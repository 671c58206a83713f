package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/lab/scenarios"
)

func demoCommand(stdio IO) *cobra.Command {
	o := new(output)
	var opt lab.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "see connections leak until connect() fails, in a private namespace, and the diagnosis",
		Long: `demo plays the commonest way to "Cannot assign requested address" on this
kernel, in a network namespace of its own: a server closes idle connections, a
client opens one for each request and closes none, until its own connect()
fails. Every figure that it prints was measured in that run.

It needs no root where ordinary users may make user namespaces, touches nothing
outside of its namespace, and leaves nothing behind.`,
		Example: `  tcpvet demo
  tcpvet demo --ports 100`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), stdio, o, scenarios.CloseWaitLeak, opt)
		},
	}
	cmd.Flags().IntVar(&opt.Ports, "ports", 1000, "size of the local port range in the namespace, an even number")
	cmd.Flags().DurationVar(&opt.Patience, "patience", 2*time.Second, "how long a connection has to be stuck before it is judged")
	o.flags(cmd, "table")
	return cmd
}

func demo(ctx context.Context, stdio IO, o *output, sc *lab.Scenario, opt lab.Options) error {
	if opt.Ports == 0 || opt.Patience <= 0 {
		return usage("--ports and --patience must be more than 0")
	}
	if err := sc.Check(opt); err != nil {
		return &exit{statusUsage, err}
	}
	if !lab.Inside() {
		status, err := lab.Enter(ctx)
		if err != nil {
			return &exit{statusBlind, err}
		}
		if status != statusOK {
			return &exit{status: status} // it has said why, in there
		}
		return nil
	}
	look, err := stageLook("auto")
	if err != nil {
		return &exit{statusBlind, err}
	}
	text := stageText(stdio, o)
	opt.Looks, opt.Judge, opt.Tell = []lab.Look{look}, stageVerdict, text.Tell
	text.Begin(sc)
	story, err := lab.Play(ctx, sc, opt)
	if err != nil {
		return &exit{statusBlind, err}
	}
	if text.Err != nil {
		return text.Err
	}
	if !slices.Contains(story.Outcome().Found, sc.Name) {
		return &exit{statusFindings, errors.New("the rule " + sc.Name + " did not find what was staged")}
	}
	return nil
}
