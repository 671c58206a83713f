package report

import (
	"cmp"
	"net/netip"
	"slices"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// planRow is changes that differ in nothing but the sockets themselves.
type planRow struct {
	change tcpvet.Change // without what tells one socket from another
	count  int
}

// moreRows is what is left out of a table.
type moreRows struct{ rows, count int }

// mostRows is how many rows a table of groups has: a screen.
const mostRows = 40

// planRows puts together what is alike, the most first. Settings and runs keep the
// order of the plan, as what each does by itself.
func planRows(p *tcpvet.Plan, each bool) ([]planRow, moreRows) {
	var rows []planRow
	at := make(map[tcpvet.Change]int)
	for _, c := range p.Changes {
		if !each {
			c.Target = alike(c.Target)
		}
		i, ok := at[c]
		if !ok {
			i, at[c] = len(rows), len(rows)
			rows = append(rows, planRow{change: c})
		}
		rows[i].count++
	}
	if each || p.Kind == tcpvet.SysctlPlan || p.Kind == tcpvet.RunPlan {
		return rows, moreRows{}
	}
	slices.SortStableFunc(rows, func(a, b planRow) int { return cmp.Compare(b.count, a.count) })
	named, rest := vet.Cut(rows, mostRows)
	more := moreRows{rows: len(rest)}
	for _, r := range rest {
		more.count += r.count
	}
	return named, more
}

// alike leaves out of a socket what no other one has: its process and its service are
// left.
func alike(t tcpvet.Target) tcpvet.Target {
	if t.Cookie == 0 {
		return t
	}
	t.Cookie, t.Inode = 0, 0
	t.Local, t.Remote = tcpvet.Unmap(t.Local), tcpvet.Unmap(t.Remote)
	if serves(&t) {
		t.Remote = netip.AddrPort{}
	} else {
		t.Local = netip.AddrPort{}
	}
	return t
}

// serves tells whether the local end of a socket is what it is there for.
func serves(t *tcpvet.Target) bool { return t.Role == tcpvet.Server || t.State == tcpvet.Listen }

// planColumn is a column of a plan.
type planColumn struct {
	title string
	right bool
	cell  func(c *tcpvet.Census, r *planRow) string
}

// planColumnsOf gives the columns that a plan needs.
func planColumnsOf(p *tcpvet.Plan, c *tcpvet.Census, each bool) []planColumn {
	var columns []planColumn
	switch p.Kind {
	case tcpvet.SysctlPlan:
		columns = append(columns, planSetting)
	case tcpvet.RunPlan:
		columns = append(columns, planRun)
	default:
		columns = append(columns, planProcess)
		if each {
			columns = append(columns, planLocal, planRemote)
		} else {
			columns = append(columns, planService, planSockets)
		}
	}
	if slices.ContainsFunc(p.Changes, func(ch tcpvet.Change) bool { return ch.Target.Netns != 0 && ch.Target.Netns != c.Self }) {
		columns = append(columns, planNetns)
	}
	if p.Kind == tcpvet.KeepalivePlan {
		columns = append(columns, planState)
	}
	columns = append(columns, planBefore, planAfter)
	if slices.ContainsFunc(p.Changes, func(ch tcpvet.Change) bool { return ch.Outcome != tcpvet.OutcomePlanned }) {
		columns = append(columns, planOutcome)
	}
	return columns
}

var (
	planSetting = planColumn{"Setting", false, func(_ *tcpvet.Census, r *planRow) string {
		if t := &r.change.Target; t.File != "" {
			return vet.Plain(t.Setting + " in " + t.File)
		}
		return vet.Plain(r.change.Target.Setting)
	}}
	planRun     = planColumn{"Run", false, func(_ *tcpvet.Census, r *planRow) string { return vet.Plain(r.change.Target.Run) }}
	planProcess = planColumn{"Process", false, func(c *tcpvet.Census, r *planRow) string { return vet.ProcessText(c, r.change.Target.Holder) }}
	planService = planColumn{"Service", false, func(_ *tcpvet.Census, r *planRow) string {
		if t := &r.change.Target; serves(t) {
			return "on " + tcpvet.EndpointText(t.Local)
		}
		return "to " + tcpvet.EndpointText(r.change.Target.Remote)
	}}
	planLocal   = planColumn{"Local", false, func(_ *tcpvet.Census, r *planRow) string { return tcpvet.EndpointText(r.change.Target.Local) }}
	planRemote  = planColumn{"Remote", false, func(_ *tcpvet.Census, r *planRow) string { return tcpvet.EndpointText(r.change.Target.Remote) }}
	planSockets = planColumn{"Sockets", true, func(_ *tcpvet.Census, r *planRow) string { return vet.Count(r.count) }}
	planNetns   = planColumn{"Netns", false, func(c *tcpvet.Census, r *planRow) string { return vet.NetnsText(c, r.change.Target.Netns) }}
	planState   = planColumn{"State", false, func(_ *tcpvet.Census, r *planRow) string { return r.change.Target.State.String() }}
	planBefore  = planColumn{"Before", false, func(_ *tcpvet.Census, r *planRow) string { return valueText(&r.change, &r.change.Before) }}
	planAfter   = planColumn{"After", false, func(_ *tcpvet.Census, r *planRow) string { return valueText(&r.change, &r.change.After) }}
	planOutcome = planColumn{"Outcome", false, func(_ *tcpvet.Census, r *planRow) string {
		if r.change.Outcome == tcpvet.OutcomePlanned {
			return "-"
		}
		return string(r.change.Outcome)
	}}
)

// valueText gives a value as a cell: what cannot be told of what is gone is a dash.
func valueText(c *tcpvet.Change, v *tcpvet.Value) string {
	text := vet.Plain(v.String())
	switch {
	case c.Target.Setting != "" && text == "" && c.Outcome == tcpvet.OutcomeRefused:
		return "-" // it was not read
	case c.Target.Setting != "" && text == "":
		return "empty"
	case v.State == tcpvet.Unconn:
		return "closed"
	case text == "" && v.Timers == (tcpvet.Timers{}) && c.Outcome != tcpvet.OutcomePlanned && v == &c.Before:
		return "-"
	case text == "":
		return "off"
	}
	if utf8.RuneCountInString(text) > mostWidth { // reserved ports may be thousands
		text = string([]rune(text)[:mostWidth-3]) + "..."
	}
	return text
}
