package timewaitpressure

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// pressure is a tuple whose ports rest.
type pressure struct {
	vet.Headroom
	tuple  tcpvet.Tuple
	budget *tcpvet.Budget
	kind   string
	users  []tcpvet.Process // who has other connections to the endpoint
	shares []vet.Share      // who closed those that rest, as far as that is remembered, and the others

	// rest is how long a port stays in TIME-WAIT: the delay where reuse is
	// on for the tuple.
	rest   time.Duration
	reused bool
}

// sustainable is how many connections a second the ports bear that connect() can
// choose from.
func (p *pressure) sustainable() float64 { return float64(p.Choosable()) / p.rest.Seconds() }

func (p *pressure) resting() uint32 { return p.budget.Taken[tcpvet.TimeWait] }

// rate is how many came into TIME-WAIT a second.
func (p *pressure) rate() float64 {
	if p.reused { // what rests came within the delay
		return float64(p.resting()) / p.rest.Seconds()
	}
	return perSecond(p.budget.TimeWaitBorn)
}

// perSecond is how many came into TIME-WAIT: the larger of the two rates.
func perSecond(b tcpvet.Births) float64 {
	return max(float64(b.Last60s)/60, float64(b.Last10s)/10)
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	now := &c.Now
	room := vet.NewRoom(now)
	pressed := make(map[tcpvet.Tuple]*pressure)
	for t, b := range now.Tuples {
		if !t.Remote.IsValid() || b.Taken[tcpvet.TimeWait] == 0 {
			continue
		}
		h, ok := room.Of(t)
		if !ok || h.Usable() <= 0 {
			continue
		}
		p := &pressure{Headroom: h, tuple: t, budget: b, rest: tcpvet.TimeWaitLength}
		if delay, on := vet.ReuseDelay(now, t); on {
			p.rest, p.reused = max(delay, time.Millisecond), true
		}
		switch {
		case p.reused:
			if p.rate() < near*p.sustainable() {
				continue
			}
			p.kind = "ports-held"
		case float64(p.resting()) >= held*float64(h.Usable()):
			p.kind = "ports-held"
		case b.ReusableTimeWait == 0 && perSecond(b.TimeWaitBorn) >= near*p.sustainable():
			p.kind = "rate"
		default:
			continue
		}
		pressed[t] = p
	}
	if len(pressed) == 0 {
		return nil
	}
	largest, others := vet.Cut(mostFirst(pressed), named)
	for _, p := range others {
		delete(pressed, p.tuple)
	}
	for g := range now.Groups {
		p := pressed[tcpvet.Tuple{Netns: g.Netns, Local: g.Local, Remote: g.Service}]
		if p != nil && g.Role == tcpvet.Client && g.Holder.Known() {
			p.users = append(p.users, g.Holder)
		}
	}
	closed := vet.Holders(now, slices.Collect(maps.Keys(pressed))...)
	var findings []tcpvet.Finding
	for _, p := range largest {
		p.shares = closed[p.tuple]
		slices.SortFunc(p.users, func(a, b tcpvet.Process) int {
			return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Start, b.Start))
		})
		findings = append(findings, p.finding(now))
	}
	if len(others) > 0 {
		findings = append(findings, rest(now, others))
	}
	return findings
}

// likely tells that the finding is not certain.
func (p *pressure) likely(c *tcpvet.Census) bool {
	return p.kind == "rate" || !vet.ReuseKnown(c, p.tuple.Netns) || vet.StampsUnsure(c, p.tuple)
}

func (p *pressure) finding(c *tcpvet.Census) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Warning, Kind: p.kind,
		Subject: tcpvet.Subject{Netns: p.tuple.Netns, Processes: p.users, Service: p.tuple.Remote, Services: 1, Local: p.tuple.Local},
		Detail:  p.detail(c),
		Numbers: []tcpvet.Number{
			{Name: "time_wait_ports", Value: float64(p.resting())},
			{Name: "reusable_time_wait_ports", Value: float64(p.budget.ReusableTimeWait)},
			{Name: "usable_ports", Value: float64(p.Usable())},
			{Name: "left_ports", Value: float64(p.Left)},
			{Name: "born_last_10s_sockets", Value: float64(p.budget.TimeWaitBorn.Last10s)},
			{Name: "born_last_60s_sockets", Value: float64(p.budget.TimeWaitBorn.Last60s)},
			{Name: "rate_per_s", Value: p.rate()},
			{Name: "sustainable_per_s", Value: p.sustainable()},
		},
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.TupleError, "ports")...)
	if p.likely(c) {
		f.Certainty = tcpvet.Likely
	}
	var user tcpvet.Process
	if len(p.users) > 0 {
		user = p.users[0]
		f.Subject.Container = c.Processes[user].Container
	}
	f.Title = vet.Heading(c, p.tuple.Netns, f.Subject.Container, p.tuple.Local.String()+" to "+p.tuple.Remote.String(),
		vet.AtLeast(c.TupleError, p.resting())+" ports in TIME-WAIT")
	f.Remedies = []tcpvet.Remedy{tcpvet.Advise{
		Code: true, Text: "keep connections open and use them again: HTTP keep-alive, a session, a pool", Run: "tcpvet explain time-wait",
	}}
	if enter, ok := vet.Enter(c, p.tuple.Netns, user); ok {
		resting := vet.Selection{
			State: tcpvet.TimeWait, Local: netip.AddrPortFrom(p.tuple.Local, 0), Remote: p.tuple.Remote, Ports: c.Netns[p.tuple.Netns].Ports,
		}
		f.Evidence = []tcpvet.Evidence{
			{What: "ports in TIME-WAIT, reusable ones too", Got: vet.AtLeast(c.TupleError, p.resting()+p.budget.ReusableTimeWait), Check: enter + resting.Count()},
			vet.PortRangeEvidence(c.Netns[p.tuple.Netns].Ports, enter),
		}
		f.Remedies = append(f.Remedies, vet.ReuseTimeWait(c, p.tuple, enter, p.Choosable())...)
	}
	f.Remedies = append(f.Remedies, vet.SpreadOut(p.Choosable()))
	return f
}

func (p *pressure) detail(c *tcpvet.Census) []string {
	lost := c.TupleError
	d := []string{fmt.Sprintf("%s%s of the %s local ports (%s) rest in TIME-WAIT; %s%s are left.", vet.Bound(lost, "At least "),
		vet.Count(p.resting()), vet.Count(p.Usable()), vet.Percent(float64(p.resting())/float64(p.Usable())), vet.Bound(lost, "at most "), vet.Count(p.Left))}
	rate := fmt.Sprintf("The ports bear %s / 60 s = %s when this side closes first", vet.Count(p.Choosable()), vet.PerSecond(p.sustainable()))
	if p.reused {
		rate = fmt.Sprintf("The kernel reuses a port here after %s, so the ports bear %s / %s = %s",
			vet.Duration(p.rest), vet.Count(p.Choosable()), vet.Duration(p.rest), vet.PerSecond(p.sustainable()))
		rate += "; closed were " + vet.Rate(p.resting(), p.rest)
	} else if b := p.budget.TimeWaitBorn; b.Last60s > 0 {
		rate += "; closed were " + vet.Rate(b.Last60s, tcpvet.TimeWaitLength)
		if b.Last10s > 0 {
			rate += ", of these " + vet.Rate(b.Last10s, 10*time.Second)
		}
	}
	d = append(d, rate+".")
	if n := p.budget.ReusableTimeWait; n > 0 {
		d = append(d, fmt.Sprintf(vet.ReusableText, vet.AtLeast(lost, n)))
	} else if !vet.ReuseKnown(c, p.tuple.Netns) {
		d = append(d, "Whether the kernel would reuse them is not known here, so all of them count.")
	} else if vet.StampsUnsure(c, p.tuple) {
		d = append(d, vet.StampsUnsureText)
	}
	if text := vet.ClosedBy(c, p.shares); text != "" {
		d = append(d, text)
	}
	if len(p.users) == 0 {
		return append(d, "TIME-WAIT belongs to no process, and nobody has another connection to that endpoint now.")
	}
	const most = 3
	var names []string
	for _, u := range p.users[:min(len(p.users), most)] {
		names = append(names, vet.ProgramText(c, u))
	}
	if more := len(p.users) - most; more > 0 {
		names = append(names, vet.Counted(more, "other"))
	}
	return append(d, "TIME-WAIT belongs to no process; other connections to that endpoint are held by "+strings.Join(names, ", ")+".")
}
