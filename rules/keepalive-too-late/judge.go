package keepalivetoolate

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// late is the connections of one process whose keepalive comes too late.
type late struct {
	vet.PerHolder
	limit tcpvet.PathLimit // the shortest that is known on their ways
	edge  time.Duration    // no silence of theirs that is shorter is broken by a probe
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	if len(c.Limits) == 0 {
		return nil
	}
	return append(judgePath(c), judgeServer(c)...)
}

func judgePath(c tcpvet.Case) []tcpvet.Finding {
	count := func(role tcpvet.Role, h *vet.Held, t *tcpvet.Tally) uint64 {
		limit, ok := vet.IdleLimit(&c, role, h.Service)
		if !ok || t.Keepalive == nil {
			return 0
		}
		return t.Keepalive.AtLeast(limit.Idle)
	}
	held := vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		return vet.PeerMayVanish(&c.Now, g) && count(g.Role, &vet.Held{Service: g.Service}, t) > 0
	})
	probing := make(map[tcpvet.NetnsID]uint64) // what ss can count: all whose keepalive timer runs
	for g, t := range c.Now.Groups {
		probing[g.Netns] += keepalives(t)
	}
	var findings []tcpvet.Finding
	for _, p := range vet.ByHolder(held, func(h *vet.Holding) uint64 { return count(h.Role, &h.Held, h.Tally) }) {
		l := late{PerHolder: p}
		for _, s := range p.Services {
			limit, ok := vet.IdleLimit(&c, p.Role, s.Service)
			if !ok {
				continue
			}
			if l.limit.Idle == 0 || limit.Idle < l.limit.Idle {
				l.limit, l.edge = limit, p.Keepalive.Edge(limit.Idle)
			}
		}
		findings = append(findings, l.finding(&c.Now, probing[l.Netns]))
	}
	return findings
}

// keepalives counts the connections in ESTAB whose keepalive timer runs.
func keepalives(t *tcpvet.Tally) uint64 {
	var n uint64
	if t.Keepalive != nil {
		n = t.Keepalive.Total()
	}
	if t.Stalled != nil {
		n += uint64(t.Stalled.Probed)
	}
	return n
}

func (l *late) finding(c *tcpvet.Census, probing uint64) tcpvet.Finding {
	info := c.Processes[l.Holder]
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info,
		Subject: l.Subject(c),
		Detail:  l.detail(c),
		Numbers: []tcpvet.Number{
			{Name: "late_sockets", Value: float64(l.Count)},
			{Name: "path_limit_s", Value: l.limit.Idle.Seconds()},
			{Name: "silence_at_least_s", Value: l.edge.Seconds()},
			{Name: "with_keepalive_sockets", Value: float64(l.Keepalive.Total())},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Code: true, Text: fmt.Sprintf("set TCP_KEEPIDLE and TCP_KEEPINTVL to %s or less on these connections: half of the limit, so that one lost probe does no harm", vet.Duration(half(l.limit.Survived()))),
			Run: "tcpvet explain keepalive",
		}},
	}
	if l.Count >= some {
		f.Severity = tcpvet.Warning
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if f.Severity == tcpvet.Info && l.Count+c.GroupError >= some {
		f.Certainty = tcpvet.Likely
	}
	who := vet.ProgramText(c, l.Holder)
	if l.Role == tcpvet.Client {
		who = vet.OwnerText(c, l.Holder)
	}
	f.Title = vet.Heading(c, l.Netns, info.Container, who, l.About())
	enter, ok := vet.Enter(c, l.Netns, l.Holder)
	if !ok {
		return f
	}
	f.Evidence = []tcpvet.Evidence{{
		What: "connections in ESTAB with a keepalive timer in this namespace" + vet.OfEveryProcess(c), Got: vet.Count(probing),
		Check: enter + "ss -Htno state established | grep -c '(keepalive,'",
	}}
	ns := c.Netns[l.Netns]
	for _, setting := range defaults {
		v, ok := ns.SysctlInt(setting.name)
		if !ok || time.Duration(v)*time.Second < l.limit.Idle {
			continue
		}
		f.Evidence = append(f.Evidence, tcpvet.Evidence{What: setting.what, Got: vet.Count(v), Check: enter + "sysctl -n " + setting.name})
		f.Remedies = append(f.Remedies, tcpvet.SetSysctl{
			Netns: l.Netns, Where: vet.NetnsFlag(enter), Name: setting.name, Value: strconv.FormatInt(int64(half(l.limit.Survived())/time.Second), 10),
			Why: "for programs that set SO_KEEPALIVE and no " + setting.option + ": new connections take it, open ones once their timer has ended",
		})
	}
	return f
}

// defaults are the settings that sockets take with SO_KEEPALIVE alone.
var defaults = [...]struct{ name, option, what string }{
	{"net.ipv4.tcp_keepalive_time", "TCP_KEEPIDLE", "seconds to the first probe where the program sets SO_KEEPALIVE only"},
	{"net.ipv4.tcp_keepalive_intvl", "TCP_KEEPINTVL", "seconds between probes where the program sets SO_KEEPALIVE only"},
}

func (l *late) detail(c *tcpvet.Census) []string {
	verb := "have"
	if l.Count == 1 {
		verb = "has"
	}
	d := []string{fmt.Sprintf("%s %s the next keepalive probe after %s of silence at the earliest, and the idle limit on the way is %s.",
		vet.AtLeastCounted(c.GroupError, l.Count, "connection"), verb, vet.Duration(l.edge), vet.LimitText(&l.limit, c.Taken))}
	if most := l.Most(c); most != "" {
		d = append(d, most)
	}
	if l.Role == tcpvet.Client {
		d = append(d, "One that is idle for longer than the limit is forgotten before it is probed: the next request on it hangs, or is reset.")
	} else {
		d = append(d, "One that is idle for longer than the limit is forgotten before it is probed: this side then keeps it until its probes fail.")
	}
	if early := l.Keepalive.Total() - l.Keepalive.AtLeast(l.limit.Idle); early > 0 {
		d = append(d, "Another "+vet.Count(early)+" may be probed in time.")
	}
	return d
}
