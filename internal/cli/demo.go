package cli

import (
	"context"
	"errors"
	"fmt"
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
		Short: "see connections leak until connect() fails, the diagnosis, and the cure, in a private namespace",
		Long: `demo plays the commonest way to "Cannot assign requested address" on this
kernel, in a network namespace of its own: a server closes idle connections, a
client opens one for each request and closes none, until its own connect()
fails. Then the command that the finding names (tcpvet fix close) is run on that
very process, which goes on and connects again; and the same program, started by
tcpvet run, does not fail where it failed by itself. Every figure that it prints
was measured in that run.

It needs no root where ordinary users may make user namespaces, touches nothing
outside of its namespace, and leaves nothing behind: what fix writes down goes
with it too. The part about tcpvet run needs root, BPF and a cgroup 2; without,
that part is left out, and said to be.

Exit status: 0 it went as told, 1 the diagnosis or a cure did not do what it was
to, 2 wrong usage, 3 it could not be staged.`,
		Example: `  tcpvet demo
  tcpvet demo --ports 100`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), stdio, o, scenarios.Demo, opt)
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
	opt.Looks, opt.Judge = []lab.Look{look}, stageVerdict
	story, err, unprinted := playAloud(ctx, sc, opt, stdio, o)
	if unprinted != nil {
		return unprinted
	}
	if err != nil {
		return &exit{statusBlind, err}
	}
	const staged = "close-wait-leak"
	if !slices.Contains(story.Outcome().Found, staged) {
		return &exit{statusFindings, errors.New("the rule " + staged + " did not find what was staged")}
	}
	for _, step := range story.Steps {
		if len(step.Failed) > 0 {
			return &exit{statusFindings, fmt.Errorf("%q went otherwise than it was to: %s", step.Title, step.Failed[0])}
		}
	}
	return nil
}
