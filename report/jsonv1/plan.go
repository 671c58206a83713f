package jsonv1

import (
	"time"

	"github.com/tcpvet/tcpvet"
)

// PlanSchema is the schema of ChangePlan.
const PlanSchema = "tcpvet/plan/v1"

// ChangePlan is the document of tcpvet/plan/v1.
type ChangePlan struct {
	Schema  string   `json:"schema"`
	ID      *string  `json:"id"` // of the journal; null while only a plan
	Kind    string   `json:"kind"`
	Undoes  *string  `json:"undoes"`
	Applied bool     `json:"applied"` // something of it was changed
	Risk    string   `json:"risk"`
	Changes []Change `json:"changes"`
	Notes   []string `json:"notes"`
	Gaps    []Gap    `json:"gaps"`
}

// Change is one change of a plan. Before and After are Timers, the word of a state, or
// the text of a setting; null for none, and for what could not be read.
type Change struct {
	Subject any     `json:"subject"` // PlanSocket, PlanSetting or PlanRun
	Before  any     `json:"before"`
	After   any     `json:"after"`
	Outcome *string `json:"outcome"`
	Reason  *string `json:"reason"`
}

// PlanSocket is a socket that a plan changes.
type PlanSocket struct {
	Kind    string   `json:"kind"` // socket
	Netns   Netns    `json:"netns"`
	Cookie  uint64   `json:"cookie"`
	State   string   `json:"state"`
	Role    string   `json:"role"`
	Local   string   `json:"local"`
	Remote  string   `json:"remote"`
	Process *Process `json:"process"`
}

// PlanSetting is a setting of a namespace, or the line of one in a file.
type PlanSetting struct {
	Kind  string  `json:"kind"` // setting
	Netns Netns   `json:"netns"`
	Name  string  `json:"name"`
	File  *string `json:"file"`
}

// PlanRun is what new sockets of a cgroup begin with.
type PlanRun struct {
	Kind string `json:"kind"` // run
	ID   string `json:"id"`
}

// Timers are the keepalive and the user timeout of a socket, as they are in effect.
type Timers struct {
	Keepalive     bool   `json:"keepalive"`
	IdleS         *int64 `json:"idle_s"` // null where keepalive is off and they were not read
	IntervalS     *int64 `json:"interval_s"`
	Count         *int   `json:"count"`
	UserTimeoutMS *int64 `json:"user_timeout_ms"` // null for the kernel's own
}

// RunValue is what a run gives.
type RunValue struct {
	Timers
	About string `json:"about"` // its cgroup and its source pool, in words
}

// PlanOf gives the shape of a plan, with its processes and namespaces as l knows them.
func (l Lookup) PlanOf(p *tcpvet.Plan) ChangePlan {
	out := ChangePlan{
		Schema: PlanSchema, ID: text(p.ID), Kind: p.Kind.String(), Undoes: text(p.Undoes), Risk: p.Risk.String(),
		Changes: make([]Change, 0, len(p.Changes)), Notes: append([]string{}, p.Notes...), Gaps: Gaps(p.Gaps),
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		out.Applied = out.Applied || c.Outcome == tcpvet.OutcomeApplied || c.Outcome == tcpvet.OutcomeUndone
		out.Changes = append(out.Changes, Change{
			Subject: l.planSubject(&c.Target), Before: valueOf(c, &c.Before), After: valueOf(c, &c.After),
			Outcome: text(string(c.Outcome)), Reason: text(c.Reason),
		})
	}
	return out
}

func (l Lookup) planSubject(t *tcpvet.Target) any {
	switch {
	case t.Run != "":
		return PlanRun{Kind: "run", ID: t.Run}
	case t.Setting != "":
		return PlanSetting{Kind: "setting", Netns: l.NetnsOf(t.Netns), Name: t.Setting, File: text(t.File)}
	}
	return PlanSocket{
		Kind: "socket", Netns: l.NetnsOf(t.Netns), Cookie: t.Cookie, State: t.State.String(), Role: t.Role.String(),
		Local: t.Local.String(), Remote: t.Remote.String(), Process: l.ProcessOf(t.Holder),
	}
}

// valueOf gives the shape of a value of c.
func valueOf(c *tcpvet.Change, v *tcpvet.Value) any {
	unread := v == &c.Before && *v == tcpvet.Value{} && c.Outcome != tcpvet.OutcomePlanned
	switch {
	case v.Absent, unread:
		return nil
	case c.Target.Run != "":
		return RunValue{TimersOf(v.Timers), v.Text}
	case c.Target.Setting != "":
		return v.Text
	case v.State != 0:
		return v.State.String()
	}
	return TimersOf(v.Timers)
}

// TimersOf gives the shape of timers.
func TimersOf(t tcpvet.Timers) Timers {
	out := Timers{Keepalive: t.Keepalive}
	if t.Idle != 0 || t.Interval != 0 || t.Count != 0 {
		idle, interval, count := int64(t.Idle/time.Second), int64(t.Interval/time.Second), t.Count
		out.IdleS, out.IntervalS, out.Count = &idle, &interval, &count
	}
	if t.UserTimeout != 0 {
		timeout := ms(t.UserTimeout)
		out.UserTimeoutMS = &timeout
	}
	return out
}
