package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/vet"
)

// judging holds the flags that say how to judge.
type judging struct {
	patience time.Duration
	interval time.Duration
	failOn   string
	only     []string
	pathIdle []string
	probes   []string
	limits   []tcpvet.PathLimit // of pathIdle and probes
}

var failWords = []string{"none", "info", "warning", "critical"}

func diagnoseCommand(stdio IO) *cobra.Command {
	l := &look{stdio: stdio}
	o := new(output)
	j := new(judging)
	cmd := &cobra.Command{
		Use:   "diagnose [FILTER]",
		Short: "say what is wrong with the connections, who does it, and what cures it",
		Long: `diagnose looks at every socket, judges what it sees by rules (tcpvet explain
rules), and prints the findings, the worst first: what, since when, who, a
public command that shows the same, and what helps.

A FILTER narrows which sockets are judged; the ports of a tuple are counted
from all sockets whatever the filter, for a part of them would say nothing.

Exit status: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage,
3 nothing could be looked at.`,
		Example: `  tcpvet diagnose
  tcpvet diagnose --netns pid:4121
  tcpvet diagnose --interval 10s          look twice: what grows?
  tcpvet diagnose --path-idle 350s        a NAT forgets after 350 s: who keeps alive too late?
  tcpvet diagnose --probe way.json        what tcpvet probe idle or http measured, with -o json
  tcpvet diagnose -o json | jq '.findings[].title'
  ss -tanp | tcpvet diagnose --from - --port-range 32768-60999
  tcpvet diagnose --from before.jsonl --from now.jsonl`,
		ValidArgsFunction: completeFilter,
		RunE:              func(cmd *cobra.Command, args []string) error { return diagnose(cmd.Context(), l, o, j, args) },
	}
	f := cmd.Flags()
	f.DurationVar(&j.patience, "patience", tcpvet.DefaultPatience, "how long something may take before it is called stuck; ages are kept in powers of two, so that 10s is surely over at 16.4s, 1m at 65.5s")
	f.DurationVar(&j.interval, "interval", 0, "look a second time after this long, and judge what changed")
	f.StringVar(&j.failOn, "fail-on", "warning", "exit with 1 on findings of this severity or worse: "+strings.Join(failWords, ", "))
	f.StringSliceVar(&j.only, "rule", nil, "judge by these rules only")
	f.StringArrayVar(&j.pathIdle, "path-idle", nil, "what is on the way forgets a connection that is idle for this long: DURATION for all peers, ADDRESS=DURATION or PREFIX=DURATION for some; may be given again")
	f.StringArrayVar(&j.probes, "probe", nil, "judge by the limits that tcpvet probe measured and printed with -o json into `FILE` (- for standard input); may be given again")
	complete(cmd, "fail-on", failWords...)
	completeList(cmd, "rule", ruleNames)
	l.flags(cmd)
	o.flags(cmd, "table", "json", "markdown")
	return cmd
}

func ruleNames() []string {
	var names []string
	for _, r := range rules.All {
		names = append(names, r.Name)
	}
	return names
}

// chosen gives the rules to judge by.
func (j *judging) chosen() ([]*vet.Rule, error) {
	if len(j.only) == 0 {
		return rules.All, nil
	}
	var out []*vet.Rule
	for _, name := range j.only {
		i := slices.IndexFunc(rules.All, func(r *vet.Rule) bool { return r.Name == name })
		if i < 0 {
			return nil, usage("--rule %q: the rules are %s", name, strings.Join(ruleNames(), ", "))
		}
		out = append(out, rules.All[i])
	}
	return out, nil
}

func (j *judging) check() error {
	switch {
	case j.patience <= 0:
		return usage("--patience %s: expected more than 0", j.patience)
	case j.interval < 0:
		return usage("--interval %s: expected 0 or more", j.interval)
	case !slices.Contains(failWords, j.failOn):
		return usage("--fail-on %q: expected %s", j.failOn, strings.Join(failWords, ", "))
	}
	for _, word := range j.pathIdle {
		l, err := pathLimit(word)
		if err != nil {
			return err
		}
		j.limits = append(j.limits, l)
	}
	return nil
}

func diagnose(ctx context.Context, l *look, o *output, j *judging, args []string) error {
	if err := j.check(); err != nil {
		return err
	}
	by, err := j.chosen()
	if err != nil {
		return err
	}
	if err := j.measured(ctx, l); err != nil {
		return err
	}
	sel, srcs, err := l.start(ctx, args, 2)
	if err != nil {
		return err
	}
	if j.interval > 0 && len(l.from) > 0 {
		return usage("--interval looks at this machine twice, --from reads a file: give two --from instead")
	}
	if j.interval == 0 && len(srcs) == 1 {
		for _, r := range by {
			if r.Compares && len(j.only) > 0 {
				return usage("--rule %s judges what changed between two looks: add --interval 10s, or give --from twice", r.Name)
			}
		}
	}
	for _, r := range by {
		if r.Limited && len(j.limits) == 0 && len(j.probes) == 0 && len(j.only) > 0 {
			return usage("--rule %s judges by the idle limit of a path, which cannot be seen from here: add --path-idle 350s, or measure it: tcpvet probe idle HOST:PORT -o json, and add --probe FILE", r.Name)
		}
	}
	for _, src := range srcs {
		if err := answerable(src, sel.query()); err != nil {
			return err
		}
	}
	c, lookErr := takeCase(ctx, l, j, sel, srcs)
	if lookErr != nil && c.Now.Sockets == 0 {
		return l.after(lookErr, nil)
	}
	r := vet.Run(c, by)
	if err := printDiagnosis(l, o, &c, r); err != nil {
		return err
	}
	return verdict(l, j, &c, r, lookErr)
}

// takeCase looks once or twice, as it was asked to.
func takeCase(ctx context.Context, l *look, j *judging, sel *selection, srcs []source.Source) (tcpvet.Case, error) {
	c := tcpvet.Case{Patience: j.patience, Limits: j.limits}
	take := func(src source.Source) (tcpvet.Census, error) {
		return l.take(ctx, src, source.Query{Want: judged | sel.query().Want, Netns: l.namespaces()}, sel)
	}
	now := srcs[len(srcs)-1]
	var cut error
	if j.interval > 0 || len(srcs) == 2 {
		before, err := take(srcs[0])
		switch {
		case errors.Is(err, source.ErrCut):
			cut = err // what is missing there would pass for growth
		case err != nil:
			return tcpvet.Case{Now: before, Patience: j.patience, Limits: j.limits}, err
		default:
			c.Before = &before
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(j.interval):
		}
	}
	var err error
	c.Now, err = take(now)
	c.Now.Gaps = append(c.Now.Gaps, sel.unanswered(now)...)
	if cut != nil {
		c.Now.Gaps = append(c.Now.Gaps, tcpvet.Gap{What: "growth", Err: "the earlier look was cut, so the two cannot be compared"})
	}
	if c.Before != nil && !vet.Comparable(c.Before, &c.Now) {
		c.Before = nil
		c.Now.Gaps = append(c.Now.Gaps, tcpvet.Gap{What: "growth", Err: "the two looks do not tell the same about sockets, so they cannot be compared"})
	}
	return c, cmp.Or(err, cut)
}

// judged holds what the rules may need.
const judged = tcpvet.FactInfo | tcpvet.FactHolders | tcpvet.FactContainers | tcpvet.FactListeners | tcpvet.FactBound |
	tcpvet.FactPortRange | tcpvet.FactSysctls | tcpvet.FactCounters | tcpvet.FactAddresses | tcpvet.FactLimits |
	tcpvet.FactHosts | tcpvet.FactSysctlConf |
	tcpvet.FactTableless

func printDiagnosis(l *look, o *output, c *tcpvet.Case, r vet.Report) error {
	switch o.format {
	case "json":
		return document(l.stdio.Out, jsonv1.DiagnosisOf(&c.Now, r))
	case "markdown":
		return report.Markdown(l.stdio.Out, c, r)
	}
	return report.Text(l.stdio.Out, c, r, report.Style{
		Color: o.colored(l.stdio.Out), Width: width(l.stdio.Out, 100),
	})
}

// verdict gives the exit status: findings go before partial sight.
func verdict(l *look, j *judging, c *tcpvet.Case, r vet.Report, lookErr error) error {
	if least := tcpvet.Severity(slices.Index(failWords, j.failOn)); least > 0 {
		for i := range r.Findings {
			if r.Findings[i].Severity >= least {
				return &exit{status: statusFindings}
			}
		}
	}
	if l.strict && len(r.Skipped) > 0 {
		return &exit{statusBlind, fmt.Errorf("%d rules could not be judged (--strict)", len(r.Skipped))}
	}
	return l.after(lookErr, c.Now.Gaps)
}
