package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/remedy"
)

// fixClosing holds the flags of fix close.
type fixClosing struct {
	fixing
	olderThan time.Duration
	max       int
}

func fixCloseCommand(stdio IO) *cobra.Command {
	f := &fixClosing{fixing: fixing{look: look{stdio: stdio}}}
	cmd := &cobra.Command{
		Use:   "close [FILTER]",
		Short: "close sockets from outside: frees ports, not descriptors",
		Long: `close ends the sockets that are selected, each by its cookie: in CLOSE-WAIT and
in TIME-WAIT, unless other states are named by --state or in the filter. Those
are in use, and take --accept-risk drops-connections. Listeners and tcpvet's own
sockets are never closed.

A CLOSE-WAIT is shut down in order where the descriptor of its program can be
borrowed: the peer gets the FIN that it waits for. All else, and what does not
end so, the kernel destroys (SOCK_DESTROY, CONFIG_INET_DIAG_DESTROY). The port
is free then. The descriptor stays, until the program closes it or ends: a leak
goes on, and ends in EMFILE later. It cannot be undone.

With --older-than a socket is closed that surely has been in its state for
longer (ESTAB: idle); one whose age is not known is not.`,
		Example: `  tcpvet fix close --pid 4121 --state close-wait --older-than 5m
  tcpvet fix close --pid 4121 --state close-wait --older-than 5m --apply
  tcpvet fix close state time-wait dst 10.0.3.7:8080 --apply
  tcpvet fix close --comm worker --state estab --older-than 1h --apply --accept-risk drops-connections`,
		ValidArgsFunction: completeFilter,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	g := cmd.Flags()
	g.DurationVar(&f.olderThan, "older-than", 0, "only what has been in its state, or an ESTAB idle, for longer than this")
	g.IntVar(&f.max, "max", remedy.MaxClose, "refuse to close more sockets than this")
	f.selecting(cmd)
	f.changing(cmd)
	f.out.flags(cmd, "table", "wide", "json")
	return cmd
}

func (f *fixClosing) run(cmd *cobra.Command, args []string) error {
	switch {
	case f.olderThan < 0:
		return usage("--older-than %s: expected 0 or more", f.olderThan)
	case f.max < 1:
		return usage("--max %d: expected 1 or more", f.max)
	}
	if err := f.checkAccepted(riskWords...); err != nil {
		return err
	}
	sel, by, err := f.choose(cmd.Context(), args)
	if err != nil {
		return err
	}
	p, err := f.plan(cmd.Context(), sel, by)
	if err != nil {
		return f.refused(err)
	}
	f.finishLook(p, sel, by)
	return f.settle(cmd.Context(), p, lineOf(cmd, args))
}

func (f *fixClosing) plan(ctx context.Context, sel *selection, by remedy.Selection) (*remedy.Plan, error) {
	return remedy.PlanClose(ctx, remedy.CloseOptions{
		Selection: by, States: sel.named(), OlderThan: f.olderThan, Max: f.max, All: true, // choose has seen to that
	})
}

// named gives the states that were named by a flag or in the filter, 0 for none. A
// filter that only leaves some out names no state in which there is no connection.
func (s *selection) named() tcpvet.StateSet {
	const never = 1<<tcpvet.Listen | 1<<tcpvet.BoundInactive | 1<<tcpvet.Unconn
	in := s.filter.States()
	switch {
	case s.states != 0:
		return s.states
	case in == tcpvet.AllStates:
		return 0
	case in&^never != 0:
		return in &^ never
	}
	return in
}

// refused gives the exit status of a plan that was not made.
func (f *fixing) refused(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	for _, wrong := range []error{remedy.ErrEverything, remedy.ErrTooMany, remedy.ErrNeverClosed} {
		if errors.Is(err, wrong) {
			return &exit{statusUsage, err}
		}
	}
	return &exit{statusBlind, err}
}
