package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/manual"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/source"
)

func explainCommand(stdio IO) *cobra.Command {
	l := &look{stdio: stdio}
	o := new(output)
	cmd := &cobra.Command{
		Use:   "explain [TOPIC]",
		Short: "the manual: states, errors, settings, rules, fixes, with this host's values",
		Long: `explain prints a page of the manual, with the values of this host where the
page speaks of them. Without a TOPIC it lists what there is. Any spelling is
understood, and so is an error message as it stands in a log.`,
		Example: `  tcpvet explain CLOSE_WAIT
  tcpvet explain "Cannot assign requested address"
  tcpvet explain close-wait-leak
  tcpvet explain fix python
  tcpvet explain article 9`,
		ValidArgsFunction: completeTopic,
		RunE:              func(cmd *cobra.Command, args []string) error { return explain(cmd.Context(), l, o, args) },
	}
	cmd.Flags().StringVar(&l.netns, "netns", "self", "whose values to show: self, a name, an inode or pid:N")
	o.flags(cmd, "table", "markdown")
	return cmd
}

func explain(ctx context.Context, l *look, o *output, args []string) error {
	book := manual.New(rules.All...)
	opt := manual.TextOptions{Width: min(width(l.stdio.Out, 80), 100)}
	if o.colored(l.stdio.Out) {
		opt.Style = manualColors
	}
	if len(args) == 0 {
		return book.Index(l.stdio.Out, opt)
	}
	query := strings.Join(args, " ")
	topic, near, ok := book.Find(query)
	if !ok {
		if len(near) > 0 {
			return usage("explain %q: no such topic; near: %s", query, strings.Join(near, ", "))
		}
		return usage("explain %q: no such topic; tcpvet explain lists them", query)
	}
	if o.format == "markdown" {
		return manual.Markdown(l.stdio.Out, topic)
	}
	here, err := l.here(ctx)
	if err != nil {
		return err
	}
	return manual.Text(l.stdio.Out, topic, here, opt)
}

func escape(code string) func(string) string {
	return func(s string) string { return code + s + "\x1b[0m" }
}

var manualColors = manual.Style{
	Title: escape("\x1b[1m"), Heading: escape("\x1b[1m"), Strong: escape("\x1b[1m"), Code: escape("\x1b[36m"),
	Value: escape("\x1b[32m"), Absent: escape("\x1b[2m"),
}

// here reads the values of one namespace. What cannot be read is left out: a
// page then says that it was not read. An error is about --netns.
func (l *look) here(ctx context.Context) (manual.Here, error) {
	var h manual.Here
	if err := l.checkNetns(); err != nil {
		return h, err
	}
	if l.netns == "all" || strings.Contains(l.netns, ",") {
		return h, usage("--netns %q: a page shows the values of one namespace", l.netns)
	}
	src, err := source.Open("auto")
	if err != nil {
		return h, nil
	}
	q := source.Query{Want: tcpvet.FactBound | tcpvet.FactSysctls | tcpvet.FactPortRange | tcpvet.FactCounters, Netns: l.namespaces()}
	c, err := source.Take(ctx, src, q, source.TakeOptions{})
	if err != nil && l.netns != "self" {
		return h, &exit{statusBlind, err}
	}
	if err != nil {
		fmt.Fprintln(l.stdio.Err, "not seen: values of this host:", err)
		return h, nil
	}
	for _, n := range c.Netns {
		h.Netns = &n // the one that --netns names
	}
	states := c.TotalStates()
	h.Host, h.States = &c.Host, &states
	return h, nil
}
