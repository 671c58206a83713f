package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/remedy"
	"github.com/tcpvet/tcpvet/rules"
	"github.com/tcpvet/tcpvet/vet"
)

// fixSysctl holds the flags of fix sysctl.
type fixSysctl struct {
	fixing
	patience time.Duration
	only     []string
	persist  bool
}

func fixSysctlCommand(stdio IO) *cobra.Command {
	f := &fixSysctl{fixing: fixing{look: look{stdio: stdio}}}
	cmd := &cobra.Command{
		Use:   "sysctl [NAME=VALUE ...]",
		Short: "set settings that the findings propose, or that are named",
		Long: `sysctl looks as diagnose does, and plans the settings that its findings propose;
with NAME=VALUE those settings, in one's own network namespace or in those of
--netns. Each is shown with what it is now, why it is to be set, and what it
does not do.

It refuses what does not do what it is set for, or harms: tcp_tw_recycle,
tcp_fin_timeout and the timeouts of conntrack against TIME-WAIT, more ports
against a leak, reuse without timestamps, and what would leave no port to
choose.

Applying takes --accept-risk changes-kernel. A setting lasts until the next
boot, or as long as its namespace; --persist also writes it to
` + remedy.PersistFile + `, for the namespace that the host
boots with. Undo puts both back.`,
		Example: `  tcpvet fix sysctl
  tcpvet fix sysctl net.ipv4.tcp_tw_reuse=1 --apply --accept-risk changes-kernel
  tcpvet fix sysctl "net.ipv4.ip_local_port_range=10240 60999" --netns pid:4121`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	g := cmd.Flags()
	g.BoolVar(&f.persist, "persist", false, "keep it for the next boot, in "+remedy.PersistFile)
	g.DurationVar(&f.patience, "patience", tcpvet.DefaultPatience, "how long something may take before it is called stuck")
	g.StringSliceVar(&f.only, "rule", nil, "without NAME=VALUE: only what findings of these rules propose")
	completeList(cmd, "rule", ruleNames)
	f.way(cmd)
	f.where(cmd)
	g.Lookup("netns").Usage = "network namespaces: all, self, or names, inodes and pid:N, separated by commas (default as diagnose looks; with NAME=VALUE one's own)"
	f.changing(cmd)
	f.out.flags(cmd, "table", "wide", "json")
	return cmd
}

func (f *fixSysctl) run(cmd *cobra.Command, args []string) error {
	if err := f.checkAccepted(riskWords...); err != nil {
		return err
	}
	var settings []tcpvet.SetSysctl
	for _, arg := range args {
		s, err := remedy.ParseSetting(arg)
		if err != nil {
			return &exit{statusUsage, err}
		}
		if slices.ContainsFunc(settings, func(o tcpvet.SetSysctl) bool { return o.Name == s.Name }) {
			return usage("%s is named twice: give it one value", s.Name)
		}
		settings = append(settings, s)
	}
	if len(settings) > 0 && len(f.only) > 0 {
		return usage("--rule says whose proposals to take, and %s was named: give one of them", settings[0].Name)
	}
	ctx := cmd.Context()
	c, findings, err := f.judge(ctx, len(settings) > 0)
	if err != nil {
		return err
	}
	opt := remedy.SysctlOptions{Findings: findings, Census: &c, Persist: f.persist}
	if len(settings) > 0 {
		// Findings speak against settings then, and propose none.
		if opt.Settings, err = f.everywhere(settings, &c); err != nil {
			return err
		}
		opt.Findings = withoutRemedies(findings)
	} else if !slices.ContainsFunc(findings, proposes) {
		p := &remedy.Plan{Plan: tcpvet.Plan{
			Kind: tcpvet.SysctlPlan, Risk: tcpvet.ChangesKernel, Gaps: c.Gaps,
			Notes: []string{"No finding proposes a setting: " + vet.Counted(len(findings), "finding") + ", which tcpvet diagnose shows. A setting can be named: NAME=VALUE."},
		}}
		return f.settle(ctx, p, lineOf(cmd, args))
	}
	p, err := remedy.PlanSysctl(ctx, opt)
	if err != nil {
		return f.refused(err)
	}
	p.Gaps = append(p.Gaps, c.Gaps...)
	return f.settle(ctx, p, lineOf(cmd, args))
}

// judge looks and judges as diagnose does. Where settings are named and --netns is not
// they are meant for one's own namespace.
func (f *fixSysctl) judge(ctx context.Context, named bool) (tcpvet.Census, []tcpvet.Finding, error) {
	if f.patience <= 0 {
		return tcpvet.Census{}, nil, usage("--patience %s: expected more than 0", f.patience)
	}
	j := &judging{patience: f.patience, only: f.only}
	by, err := j.chosen()
	if err != nil {
		return tcpvet.Census{}, nil, err
	}
	f.netns = placeOf(f.netns, named)
	sel, srcs, err := f.start(ctx, nil, 1)
	if err != nil {
		return tcpvet.Census{}, nil, err
	}
	c, err := takeCase(ctx, &f.look, j, sel, srcs)
	if err != nil {
		return c.Now, nil, f.after(err, nil)
	}
	if named {
		by = rules.All
	}
	return c.Now, vet.Run(c, by).Findings, nil
}

// placeOf gives the namespaces that are meant where --netns says flag.
func placeOf(flag string, named bool) string {
	if named && flag == "" {
		return "self"
	}
	return flag
}

// everywhere gives the settings for each namespace that was looked at.
func (f *fixSysctl) everywhere(settings []tcpvet.SetSysctl, c *tcpvet.Census) ([]tcpvet.SetSysctl, error) {
	var ids []tcpvet.NetnsID
	for id := range c.Netns {
		ids = append(ids, id)
	}
	if f.netns == "self" {
		self, err := netns.Self()
		if err != nil {
			return nil, &exit{statusBlind, err}
		}
		ids = []tcpvet.NetnsID{self}
	}
	if len(ids) == 0 {
		return nil, &exit{statusBlind, errors.New("no network namespace could be looked at")}
	}
	slices.Sort(ids)
	var out []tcpvet.SetSysctl
	for _, s := range settings {
		for _, id := range ids {
			s.Netns = id
			out = append(out, s)
		}
	}
	return out, nil
}

// proposes tells whether a finding proposes a setting.
func proposes(f tcpvet.Finding) bool {
	return slices.ContainsFunc(f.Remedies, func(r tcpvet.Remedy) bool { _, ok := r.(tcpvet.SetSysctl); return ok })
}

func withoutRemedies(findings []tcpvet.Finding) []tcpvet.Finding {
	out := slices.Clone(findings)
	for i := range out {
		out[i].Remedies = nil
	}
	return out
}
