package remedy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// PlanSysctl plans to set settings. What should not be set, and what this kernel does
// not have or take, stands in the plan as refused, with the reason. The error says
// that no namespace could be looked at, or that nothing was asked for.
func PlanSysctl(ctx context.Context, opt SysctlOptions) (*Plan, error) {
	p := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.SysctlPlan, Risk: tcpvet.ChangesKernel}, By: sysctl{}}
	self, err := netns.Self()
	if err != nil {
		return nil, fmt.Errorf("plan settings: %w", err)
	}
	wanted := opt.wanted(self)
	if len(wanted) == 0 {
		return nil, fmt.Errorf("plan settings: no setting was named, and no finding proposes one: name one, such as %s=1", reuseSetting)
	}
	for _, w := range wanted {
		p.Changes = append(p.Changes, tcpvet.Change{
			Target: tcpvet.Target{Netns: w.Netns, Setting: w.Name},
			After:  tcpvet.Value{Text: oneBlank(w.Value)},
			Reason: w.Why,
		})
	}
	if err := p.By.Present(ctx, p.Changes); err != nil {
		return nil, fmt.Errorf("plan settings: %w", err)
	}
	spaces, err := spacesOf(ctx, p.Changes, &opt)
	if err != nil {
		return nil, fmt.Errorf("plan settings: %w", err)
	}
	if err := try(p.Changes); err != nil {
		p.Gaps = append(p.Gaps, tcpvet.Gap{What: "values", Err: err.Error() + ": whether the kernel takes them shows when they are set"})
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Outcome != tcpvet.OutcomePlanned {
			continue
		}
		if c.Before == c.After {
			c.Outcome, c.Reason = tcpvet.OutcomeUnchanged, "it is so already"
			continue
		}
		s := spaces[c.Target.Netns]
		if why := s.refusal(c.Target.Setting, c.After.Text); why != "" {
			c.Outcome, c.Reason = tcpvet.OutcomeRefused, why
			continue
		}
		for _, note := range s.notes(c.Target.Setting, c.After.Text) {
			if !slices.Contains(p.Notes, note) {
				p.Notes = append(p.Notes, note)
			}
		}
	}
	if opt.Persist {
		return p, p.persist(ctx, opt.File)
	}
	if p.Pending() {
		p.Notes = append(p.Notes, "It lasts until the next boot, or as long as the namespace; each namespace has settings of its own.")
	}
	return p, nil
}

// wanted gives each setting once.
func (opt *SysctlOptions) wanted(self tcpvet.NetnsID) []tcpvet.SetSysctl {
	type key struct {
		id   tcpvet.NetnsID
		name string
	}
	var out []tcpvet.SetSysctl
	seen := make(map[key]bool)
	add := func(w tcpvet.SetSysctl) {
		if w.Netns == 0 {
			w.Netns = self
		}
		if k := (key{w.Netns, w.Name}); !seen[k] {
			seen[k] = true
			out = append(out, w)
		}
	}
	for _, w := range opt.Settings {
		add(w)
	}
	for _, f := range opt.Findings {
		for _, r := range f.Remedies {
			if w, ok := r.(tcpvet.SetSysctl); ok {
				add(w)
			}
		}
	}
	return out
}

// spacesOf looks at the namespaces of the changes.
func spacesOf(ctx context.Context, changes []tcpvet.Change, opt *SysctlOptions) (map[tcpvet.NetnsID]*space, error) {
	spaces := make(map[tcpvet.NetnsID]*space)
	for i := range changes {
		c := &changes[i]
		s := spaces[c.Target.Netns]
		if s == nil {
			s = &space{id: c.Target.Netns, now: make(map[string]string), wanted: make(map[string]string), census: opt.Census}
			for _, f := range opt.Findings {
				if f.Subject.Netns == s.id {
					s.findings = append(s.findings, f)
				}
			}
			spaces[s.id] = s
		}
		s.wanted[c.Target.Setting] = c.After.Text
	}
	var ids []tcpvet.NetnsID
	for id := range spaces {
		ids = append(ids, id)
	}
	err := inside(ctx, ids, func(id tcpvet.NetnsID, err error) {
		if err != nil {
			return // Present has said so of its changes
		}
		for _, name := range [...]string{rangeSetting, reservedSetting, reuseSetting, stampsSetting, bucketsSetting} {
			if v, err := readSetting(name); err == nil {
				spaces[id].now[name] = v
			}
		}
	})
	return spaces, err
}

// persist adds to the plan the lines that keep its settings for the next boot.
func (p *Plan) persist(ctx context.Context, file string) error {
	if file == "" {
		file = PersistFile
	}
	host := make(map[tcpvet.NetnsID]error)
	var ids []tcpvet.NetnsID
	for i := range p.Changes {
		ids = append(ids, p.Changes[i].Target.Netns)
	}
	err := inside(ctx, ids, func(id tcpvet.NetnsID, err error) {
		first := false
		if err == nil {
			first, err = netns.Initial()
		}
		if err == nil && !first {
			err = errNotHost
		}
		host[id] = err
	})
	if err != nil {
		return fmt.Errorf("plan settings: %w", err)
	}
	lines := make([]tcpvet.Change, 0, len(p.Changes))
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Outcome == tcpvet.OutcomeRefused || c.Outcome == tcpvet.OutcomeGone {
			continue
		}
		line := tcpvet.Change{Target: tcpvet.Target{Netns: c.Target.Netns, Setting: c.Target.Setting, File: file}, After: c.After}
		if err := host[c.Target.Netns]; err != nil {
			line.Outcome, line.Reason = tcpvet.OutcomeRefused, err.Error()
		}
		lines = append(lines, line)
	}
	if err := p.By.Present(ctx, lines); err != nil {
		return fmt.Errorf("plan settings: %w", err)
	}
	for i := range lines {
		if c := &lines[i]; c.Outcome == tcpvet.OutcomePlanned && c.Before == c.After {
			c.Outcome, c.Reason = tcpvet.OutcomeUnchanged, "it is so already"
		}
	}
	p.Changes = append(p.Changes, lines...)
	boot, err := procfs.FS{}.BootSettings()
	if err != nil {
		p.Gaps = append(p.Gaps, tcpvet.Gap{What: "settings at boot", Err: err.Error()})
	}
	p.Notes = append(p.Notes, overridden(lines, boot)...)
	return nil
}

// overridden names settings that another file sets otherwise after this one at boot.
func overridden(lines []tcpvet.Change, boot []tcpvet.Setting) (notes []string) {
	for i := range lines {
		t := &lines[i].Target
		if t.File != PersistFile || lines[i].Outcome == tcpvet.OutcomeRefused {
			continue
		}
		for _, b := range boot {
			after := b.File == "/etc/sysctl.conf" || baseName(b.File) > baseName(PersistFile)
			if b.Name == t.Setting && after && b.Value != lines[i].After.Text {
				notes = append(notes, fmt.Sprintf("%s: line %d of %s is read later at boot and sets %s: take it out.", t.Setting, b.Line, b.File, b.Value))
			}
		}
	}
	return notes
}

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
