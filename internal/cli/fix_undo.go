package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/run"
)

func fixUndoCommand(stdio IO) *cobra.Command {
	f := &fixing{look: look{stdio: stdio}}
	cmd := &cobra.Command{
		Use:   "undo [ID]",
		Short: "put back what was there before a fix",
		Long: `undo plans to put back what was there before a set of changes: the timers of
sockets that still live, settings, and runs. ID is one of fix log, or its
beginning; without it the newest that can be undone is meant. What has been
changed again since is left as it is. What was closed stays closed.

An undo is written down too.`,
		Example: `  tcpvet fix undo
  tcpvet fix undo 20261129-1412 --apply`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("fix undo takes one ID, and %d words were given: %s", len(args), strings.Join(args, " "))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return f.entries(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.undo(cmd, args) },
	}
	f.changing(cmd)
	f.out.flags(cmd, "table", "wide", "json")
	return cmd
}

func (f *fixing) undo(cmd *cobra.Command, args []string) error {
	if err := f.checkAccepted(riskWords...); err != nil {
		return err
	}
	id := strings.Join(args, "")
	if len(args) == 1 && id == "" {
		return usage(`fix undo "": expected an ID of fix log, or no word at all for the newest`)
	}
	p, err := remedy.PlanUndo(cmd.Context(), &remedy.Journal{Dir: f.journal}, id, remedy.UndoOptions{Run: runs{}})
	if err != nil {
		return f.refused(err)
	}
	return f.settle(cmd.Context(), p, func(more ...string) string { return again(cmd, []string{p.Undoes}, more...) })
}

// entries gives the IDs that can be undone, the newest first.
func (f *fixing) entries() (ids []string) {
	log, err := (&remedy.Journal{Dir: f.journal}).Log(mostEntries)
	if err != nil {
		return nil
	}
	for i := len(log.Entries) - 1; i >= 0; i-- {
		if e := &log.Entries[i]; e.Undoable() {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// runs is the actor of runs, as plans call it.
type runs struct{ run.Actor }

// Apply is remedy.Actor's.
func (r runs) Apply(ctx context.Context, changes []tcpvet.Change, tell remedy.Tell) error {
	return r.Actor.Apply(ctx, changes, tell)
}

var _ remedy.Actor = runs{}
