package cli

import (
	"context"
	"encoding/csv"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/source"
)

func countCommand(stdio IO) *cobra.Command {
	l := &look{stdio: stdio}
	o := new(output)
	var by []string
	cmd := &cobra.Command{
		Use:   "count [FILTER]",
		Short: "count sockets by state, process, container, namespace or service",
		Long: `count counts TCP sockets. By state it prints every state, those that are 0 too.

A FILTER is written as for ss: state close-wait, dst 10.0.3.7, sport = :443,
not ( dport = :80 ). See tcpvet explain filter.`,
		Example: `  tcpvet count
  tcpvet count --by process,state
  tcpvet count --by service state close-wait
  netstat -an | tcpvet count --from -`,
		ValidArgsFunction: completeFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(by) == 0 {
				return usage("--by needs a word: some of %s", strings.Join(report.CountWords, ", "))
			}
			for i, word := range by {
				if slices.Contains(by[:i], word) {
					return usage("--by names %s twice", word)
				}
				if !slices.Contains(report.CountWords, word) {
					return usage("--by %q: expected some of %s", word, strings.Join(report.CountWords, ", "))
				}
			}
			return count(cmd.Context(), l, o, by, args)
		},
	}
	cmd.Flags().StringSliceVar(&by, "by", []string{"state"}, "what to count by: "+strings.Join(report.CountWords, ", "))
	completeList(cmd, "by", func() []string { return report.CountWords })
	l.flags(cmd)
	o.flags(cmd, "table", "json", "csv")
	return cmd
}

func count(ctx context.Context, l *look, o *output, by, args []string) error {
	sel, srcs, err := l.start(ctx, args, 1)
	if err != nil {
		return err
	}
	q := sel.query()
	q.Netns = l.namespaces()
	q.Want |= report.CountNeeds(by)
	if slices.Contains(by, "state") && q.States.Has(tcpvet.BoundInactive) {
		q.Want |= tcpvet.FactBound // to know whether its number means something
	}
	if err := answerable(srcs[0], q); err != nil {
		return err
	}
	c, err := countCensus(ctx, l, sel, srcs[0], q, by)
	c.Gaps = append(c.Gaps, sel.blindSpots(srcs[0], q.States)...)
	if err != nil && c.Sockets == 0 {
		return l.after(err, nil)
	}
	if perr := printCount(l.stdio.Out, o, &c, by); perr != nil {
		return perr
	}
	if o.format != "json" {
		warnGaps(l.stdio.Err, c.Gaps)
	}
	return l.after(err, c.Gaps)
}

// countCensus counts the cheapest way that gives what is asked for: totals by
// state do not need each socket, where the kernel's own counters prove them.
func countCensus(ctx context.Context, l *look, sel *selection, src source.Source, q source.Query, by []string) (tcpvet.Census, error) {
	if counter, ok := src.(source.StateCounter); ok && slices.Equal(by, []string{"state"}) && sel.all() {
		defer l.tellSource(src)
		return counter.CountStates(ctx, q)
	}
	return l.take(ctx, src, q, sel)
}

func printCount(w io.Writer, o *output, c *tcpvet.Census, by []string) error {
	rows := report.Count(c, by)
	switch o.format {
	case "json":
		return document(w, rows.Document(c))
	case "csv":
		out := csv.NewWriter(w)
		if err := out.Write(append(slices.Clone(by), "count")); err != nil {
			return err
		}
		for _, r := range rows.Rows {
			if err := out.Write(append(slices.Clone(r.Text), r.Number())); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	}
	return rows.Table(w)
}
