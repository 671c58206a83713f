package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/lab/scenarios"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

func labListCommand(stdio IO) *cobra.Command {
	o := new(output)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the scenarios, and what this machine lacks for them",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if o.format == "json" {
				return document(stdio.Out, labList(scenarios.All))
			}
			return labTable(stdio.Out, scenarios.All)
		},
	}
	o.flags(cmd, "table", "json")
	return cmd
}

func labList(all []*lab.Scenario) jsonv1.LabList {
	list := jsonv1.LabList{Schema: jsonv1.LabListSchema, Scenarios: []jsonv1.LabEntry{}}
	for _, sc := range all {
		e := jsonv1.LabEntry{Scenario: sc.Name, Title: sc.Title, Stages: sc.Source, Expected: words(sc.Expects), Needs: []jsonv1.LabNeed{}}
		for _, n := range sc.Needs {
			need := jsonv1.LabNeed{Need: n.Name, Met: true}
			if err := n.Met(); err != nil {
				reason := err.Error()
				need.Met, need.Reason = false, &reason
			}
			e.Needs = append(e.Needs, need)
		}
		list.Scenarios = append(list.Scenarios, e)
	}
	return list
}

func labTable(out io.Writer, all []*lab.Scenario) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tTITLE\tSTAGES")
	for _, sc := range all {
		title := sc.Title
		if err := sc.Unmet(); err != nil {
			title += " (" + err.Error() + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", sc.Name, title, sc.Source)
	}
	return w.Flush()
}

// words gives a list that is never null.
func words(list []string) []string { return append([]string{}, list...) }
