package report

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// planRow is changes that differ in nothing but the sockets themselves.
type planRow struct {
	change tcpvet.Change // without what tells one socket from another
	count  int

	// The idle times that it stands for, from the least to the most, where these differ.
	idle struct{ before, after [2]time.Duration }
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
	if p.Kind == tcpvet.KeepalivePlan {
		rows = mergeIdle(rows)
	}
	slices.SortStableFunc(rows, func(a, b planRow) int { return cmp.Compare(b.count, a.count) })
	named, rest := vet.Cut(rows, mostRows)
	more := moreRows{rows: len(rest)}
	for _, r := range rest {
		more.count += r.count
	}
	return named, more
}

// mostIdle is how many rows may differ in nothing but an idle time: a plan for many
// sockets gives them idle times that lie apart.
const mostIdle = 3

// mergeIdle makes one row of those that differ in nothing but their idle times, where
// they are many.
func mergeIdle(rows []planRow) []planRow {
	// Without keepalive nothing is printed of its idle time.
	idle := func(v *tcpvet.Value) time.Duration {
		if !v.Timers.Keepalive {
			return 0
		}
		return v.Timers.Idle
	}
	key := func(c tcpvet.Change) tcpvet.Change {
		c.Before.Timers.Idle, c.After.Timers.Idle = 0, 0
		return c
	}
	of := make(map[tcpvet.Change]int)
	for i := range rows {
		of[key(rows[i].change)]++
	}
	merged, at := rows[:0:0], make(map[tcpvet.Change]int)
	for _, r := range rows {
		k := key(r.change)
		before, after := idle(&r.change.Before), idle(&r.change.After)
		r.idle.before, r.idle.after = [2]time.Duration{before, before}, [2]time.Duration{after, after}
		i, ok := at[k]
		if !ok || of[k] <= mostIdle {
			at[k] = len(merged)
			merged = append(merged, r)
			continue
		}
		m := &merged[i]
		m.count += r.count
		m.idle.before = [2]time.Duration{min(m.idle.before[0], before), max(m.idle.before[1], before)}
		m.idle.after = [2]time.Duration{min(m.idle.after[0], after), max(m.idle.after[1], after)}
	}
	return merged
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
	planBefore  = planColumn{"Before", false, func(_ *tcpvet.Census, r *planRow) string {
		return rangeText(valueText(&r.change, &r.change.Before), r.idle.before)
	}}
	planAfter = planColumn{"After", false, func(_ *tcpvet.Census, r *planRow) string {
		return rangeText(valueText(&r.change, &r.change.After), r.idle.after)
	}}
	planOutcome = planColumn{"Outcome", false, func(_ *tcpvet.Census, r *planRow) string {
		if r.change.Outcome == tcpvet.OutcomePlanned {
			return "-"
		}
		return string(r.change.Outcome)
	}}
)

// rangeText puts the range of idle times in place of the one that timers begin with.
func rangeText(timers string, idle [2]time.Duration) string {
	if idle[0] == idle[1] {
		return timers
	}
	_, rest, _ := strings.Cut(timers, " ")
	return fmt.Sprintf("%v-%v %s", idle[0], idle[1], rest)
}

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
