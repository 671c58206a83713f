package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet/lab"
	"github.com/tcpvet/tcpvet/lab/scenarios"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/source"
)

func labCommand(stdio IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "stage faults of connections in private namespaces, and see them diagnosed",
		Long: `The lab stages, on this kernel, each fault that tcpvet knows and each way in
which connections open and close, in network namespaces of its own. It touches
nothing outside of them, and leaves nothing behind.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("lab %q: say tcpvet lab list, or tcpvet lab run NAME", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(labListCommand(stdio), labRunCommand(stdio))
	return cmd
}

// labRun is a run of scenarios.
type labRun struct {
	stdio  IO
	output output
	all    bool
	source string
	opt    lab.Options
}

func labRunCommand(stdio IO) *cobra.Command {
	r := &labRun{stdio: stdio}
	cmd := &cobra.Command{
		Use:   "run NAME... | --all",
		Short: "stage scenarios, tell each step, and judge: expected against found",
		Long: `run stages each scenario in namespaces of its own, tells step by step what was
done and what the kernel showed, judges where the scenario says so, and compares
what was found with what is expected. Every figure was measured in that run.

A scenario that needs what this machine lacks (root, a program, a feature of the
kernel) is skipped, by name and reason.

Exit status: 0 all as expected, 1 something was found otherwise, 2 wrong usage,
3 something could not be staged, or nothing was.`,
		Example: `  tcpvet lab run three-way-handshake
  tcpvet lab run --all
  tcpvet lab run --all -o json | jq '.scenarios[] | select(.mismatches != [])'`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return scenarioNames(args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.BoolVar(&r.all, "all", false, "every scenario")
	f.IntVar(&r.opt.Ports, "ports", 1000, "size of the local port range where a scenario fills one, an even number")
	f.DurationVar(&r.opt.Patience, "patience", 2*time.Second, "how long something has to be stuck before it is judged")
	f.StringVar(&r.source, "source", "auto", "how the rules look: auto, bpf, netlink or procfs")
	complete(cmd, "source", source.Kinds...)
	r.output.flags(cmd, "table", "json")
	return cmd
}

// scenarioNames gives the names of those that are not among args.
func scenarioNames(args []string) []string {
	var names []string
	for _, sc := range scenarios.All {
		if !slices.Contains(args, sc.Name) {
			names = append(names, sc.Name)
		}
	}
	return names
}

func (r *labRun) run(ctx context.Context, args []string) error {
	chosen, err := r.choose(args)
	if err != nil {
		return err
	}
	if lab.Inside() {
		return r.inside(ctx, chosen[0])
	}
	doc := jsonv1.Lab{Schema: jsonv1.LabSchema, Scenarios: []jsonv1.LabScenario{}}
	for _, sc := range chosen {
		result, err := r.enter(ctx, sc)
		if err != nil {
			return err
		}
		doc.Scenarios = append(doc.Scenarios, result)
	}
	if r.output.format == "json" {
		err = document(r.stdio.Out, doc)
	} else if len(chosen) > 1 {
		err = labResults(r.stdio.Out, doc.Scenarios)
	}
	if err != nil {
		return err
	}
	return labStatus(doc.Scenarios)
}

// choose gives the scenarios that are asked for, and checks that they can be
// staged with these options.
func (r *labRun) choose(args []string) ([]*lab.Scenario, error) {
	if _, err := source.Open(r.source); errors.Is(err, source.ErrUnknown) {
		return nil, usage("--source: %w", err)
	}
	switch {
	case r.opt.Ports == 0 || r.opt.Patience <= 0:
		return nil, usage("--ports and --patience must be more than 0")
	case r.all && len(args) > 0:
		return nil, usage("lab run: --all is every scenario: name none beside it")
	case r.all:
		if err := r.opt.Check(); err != nil {
			return nil, &exit{statusUsage, err}
		}
		return scenarios.All, nil
	case len(args) == 0:
		return nil, usage("lab run: name a scenario (tcpvet lab list), or --all")
	}
	var chosen []*lab.Scenario
	for _, name := range args {
		i := slices.IndexFunc(scenarios.All, func(sc *lab.Scenario) bool { return sc.Name == name })
		if i < 0 {
			return nil, usage("lab run %q: no such scenario; %s", name, nearScenarios(name))
		}
		sc := scenarios.All[i]
		if err := sc.Check(r.opt); err != nil {
			return nil, &exit{statusUsage, err}
		}
		chosen = append(chosen, sc)
	}
	return chosen, nil
}

// nearScenarios words what could have been meant.
func nearScenarios(name string) string {
	const slips = 3 // letters that may differ
	book := &cobra.Command{SuggestionsMinimumDistance: slips}
	for _, sc := range scenarios.All {
		book.AddCommand(&cobra.Command{Use: sc.Name, Run: func(*cobra.Command, []string) {}})
	}
	near := book.SuggestionsFor(name)
	for _, sc := range scenarios.All {
		if len(name) > 2 && strings.Contains(sc.Name, name) && !slices.Contains(near, sc.Name) {
			near = append(near, sc.Name)
		}
	}
	if len(near) == 0 || name == "" {
		return "tcpvet lab list names them"
	}
	slices.Sort(near)
	return "near: " + strings.Join(near, ", ")
}

// enter stages one scenario in a process of its own. An error ends the run.
func (r *labRun) enter(ctx context.Context, sc *lab.Scenario) (jsonv1.LabScenario, error) {
	result := jsonv1.LabScenario{Scenario: sc.Name, Expected: words(sc.Expects), Found: []string{}, RulesSkipped: []string{}, Mismatches: []string{}}
	table := r.output.format == "table"
	// With --all, what one scenario needs more than the others stops only that.
	err := sc.Check(r.opt)
	if err == nil {
		err = sc.Unmet()
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return result, context.Canceled
	}
	if err != nil {
		reason := err.Error()
		result.Skipped = &reason
		if table {
			fmt.Fprintf(r.stdio.Out, "%s: skipped: %s\n", sc.Name, reason)
		}
		return result, nil
	}
	color := "never"
	if r.output.colored(r.stdio.Out) {
		color = "always"
	}
	entry := lab.Entry{
		Args: []string{os.Args[0], "lab", "run", sc.Name, "--ports", fmt.Sprint(r.opt.Ports),
			"--patience", r.opt.Patience.String(), "--source", r.source, "--color", color, "--output", r.output.format},
		Env:    []string{"TCPVET_ALL="}, // the one scenario, whatever the caller's environment says
		Stderr: r.stdio.Err,
	}
	if table {
		entry.Stdout = r.stdio.Out
	}
	status, told, err := lab.EnterAs(ctx, entry)
	switch {
	case ctx.Err() != nil:
		return result, &exit{status: statusBlind} // the stage has said that it was interrupted
	case err != nil:
		return result, &exit{statusBlind, err}
	}
	if err := json.Unmarshal(told, &result); err != nil {
		reason := fmt.Sprintf("the stage ended with status %d and told nothing", status)
		result.Error = &reason
	}
	if table {
		fmt.Fprintln(r.stdio.Out)
	}
	if status == statusBlind && labStatus([]jsonv1.LabScenario{result}) == nil {
		return result, &exit{status: statusBlind} // what it had to tell could not be written, and it has said so
	}
	return result, nil
}

// inside plays one scenario on the stage that this process is, and tells the one
// who entered it what came of it.
func (r *labRun) inside(ctx context.Context, sc *lab.Scenario) error {
	look, err := stageLook(r.source)
	if err != nil {
		return &exit{statusBlind, err}
	}
	r.opt.Looks, r.opt.Judge = []lab.Look{look}, stageVerdict
	if r.opt.Watch, err = stageLook("auto"); err != nil {
		return &exit{statusBlind, err}
	}
	var story *lab.Story
	var played, unprinted error
	if r.output.format == "table" {
		story, played, unprinted = playAloud(ctx, sc, r.opt, r.stdio, &r.output)
	} else {
		story, played = lab.Play(ctx, sc, r.opt)
	}
	outcome := story.Outcome()
	result := jsonv1.LabScenario{
		Scenario: sc.Name, Source: &look.Name, Expected: words(outcome.Expected), Found: words(outcome.Found),
		RulesSkipped: []string{}, Mismatches: []string{},
	}
	for _, s := range outcome.Skipped {
		result.RulesSkipped = append(result.RulesSkipped, s.Rule)
	}
	seconds := story.Took.Seconds()
	result.Seconds = &seconds
	var unmet *lab.UnmetError
	switch {
	case unprinted != nil: // of the scenario that says nothing
	case errors.As(played, &unmet) && !errors.Is(played, context.Canceled):
		reason := unmet.Error()
		result.Skipped = &reason
	case played != nil:
		reason := played.Error()
		result.Error = &reason
	default:
		result.Mismatches = words(outcome.Mismatches)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if err := lab.Answer(raw); err != nil {
		return err
	}
	if unprinted != nil {
		return unprinted
	}
	if errors.Is(played, context.Canceled) {
		return played
	}
	if r.output.format == "table" {
		fmt.Fprintf(r.stdio.Out, "\n%s\n", labResult(&result))
	}
	return labStatus([]jsonv1.LabScenario{result})
}
