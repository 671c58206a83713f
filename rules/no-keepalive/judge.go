package nokeepalive

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// idler is the idle connections of one process, over its services.
type idler struct {
	vet.PerHolder
	folded uint64           // the same of services that were folded together, which are not in Count
	edge   time.Duration    // all are idle for at least that long
	path   tcpvet.PathLimit // the shortest limit that is known on the way to some of them, the zero value for none
}

// limitOf is how long a connection of that end must be idle; known tells that
// it is the limit of the path.
func limitOf(c *tcpvet.Case, h vet.Held) (limit time.Duration, known bool) {
	if path, known := vet.IdleLimit(c, h.Role, h.Service); known {
		return path.Idle, true
	}
	return patiences * c.Patience, false
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	idle := func(h *vet.Holding) uint64 {
		limit, _ := limitOf(&c, h.Held)
		return h.Idle.KeepaliveOff.AtLeast(limit)
	}
	held := vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		if t.Idle == nil || !vet.PeerMayVanish(&c.Now, g) {
			return false
		}
		limit, _ := limitOf(&c, vet.Held{Role: g.Role, Service: g.Service})
		return t.Idle.KeepaliveOff.AtLeast(limit) > 0
	})
	if len(held) == 0 {
		return nil
	}
	unguarded := make(map[tcpvet.NetnsID]uint64) // what ss can count: all without a timer
	folded := make(map[vet.Held]uint64)
	for g, t := range c.Now.Groups {
		if t.Idle == nil {
			continue
		}
		unguarded[g.Netns] += t.Idle.KeepaliveOff.Total()
		if g.Folded() {
			limit, _ := limitOf(&c, vet.Held{Role: g.Role})
			folded[vet.Held{Netns: g.Netns, Holder: g.Holder, Role: g.Role}] += t.Idle.KeepaliveOff.AtLeast(limit)
		}
	}
	var findings []tcpvet.Finding
	for _, p := range vet.ByHolder(held, idle) {
		i := idler{PerHolder: p, folded: folded[vet.Held{Netns: p.Netns, Holder: p.Holder, Role: p.Role}]}
		for _, s := range p.Services {
			limit, _ := limitOf(&c, vet.Held{Role: p.Role, Service: s.Service})
			if edge := p.Idle.KeepaliveOff.Edge(limit); i.edge == 0 || edge < i.edge {
				i.edge = edge
			}
			if path, known := vet.IdleLimit(&c, p.Role, s.Service); known && (i.path.Idle == 0 || path.Idle < i.path.Idle) {
				i.path = path
			}
		}
		if i.Count >= some {
			findings = append(findings, i.finding(&c.Now, unguarded[i.Netns]))
		}
	}
	return findings
}

func (i *idler) finding(c *tcpvet.Census, unguarded uint64) tcpvet.Finding {
	info := c.Processes[i.Holder]
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info,
		Subject: i.Subject(c),
		Detail:  i.detail(c),
		Numbers: []tcpvet.Number{
			{Name: "idle_sockets", Value: float64(i.Count)},
			{Name: "idle_limit_s", Value: i.edge.Seconds()},
			{Name: "without_keepalive_sockets", Value: float64(i.Idle.KeepaliveOff.Total())},
			{Name: "with_keepalive_sockets", Value: float64(i.Idle.KeepaliveOn.Total())},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: codeText(info), Run: "tcpvet explain keepalive"}},
	}
	if i.Count >= many {
		f.Severity = tcpvet.Warning
	}
	if i.folded > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("Another %s, of services that were folded together, are not counted: they may be over loopback, and at no risk.", vet.Count(i.folded)))
	}
	if i.Count < many && i.Count+i.folded >= many {
		f.Certainty = tcpvet.Likely
	}
	if i.path.Idle > 0 {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "path_limit_s", Value: i.path.Idle.Seconds()})
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	who := vet.ProgramText(c, i.Holder)
	if i.Role == tcpvet.Client {
		who = vet.OwnerText(c, i.Holder)
	}
	f.Title = vet.Heading(c, i.Netns, info.Container, who, i.About())
	if m := i.MostIdle; m != nil {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "most_idle_s", Value: m.Age.Low.Seconds()})
	}
	if enter, ok := vet.Enter(c, i.Netns, i.Holder); ok {
		f.Remedies = append(f.Remedies, i.remedies(vet.NetnsFlag(enter))...)
		f.Evidence = []tcpvet.Evidence{{
			What: "connections in ESTAB without any timer in this namespace" + vet.OfEveryProcess(c), Got: vet.Count(unguarded),
			Check: enter + "ss -Htno state established | grep -vc timer:",
		}}
	}
	return f
}

// remedies are those from outside of the program, where it is known.
func (i *idler) remedies(netnsFlag string) []tcpvet.Remedy {
	if !i.Holder.Known() {
		return nil
	}
	filter := "role " + i.Role.String() + " not dst 127.0.0.0/8 not dst [::1]"
	if i.Service.IsValid() && i.Role == tcpvet.Client {
		filter = vet.Selection{Remote: i.Service}.Filter()
	} else if i.Service.IsValid() {
		filter = vet.Selection{Local: i.Service}.Filter()
	}
	dead := vet.Duration(tcpvet.DefaultTimers().Dead())
	return []tcpvet.Remedy{
		tcpvet.SetKeepalive{
			Select: vet.Narrow(netnsFlag, i.Holder, vet.ShellFilter("state established timer off age ge "+vet.ShellDuration(i.edge)+" "+filter)),
			Why:    "gives keepalive to these from outside, so that one whose peer is gone ends after " + dead + "; shows a plan, and needs root to apply it",
		},
		tcpvet.StartWith{
			Select: fmt.Sprintf("--pid %d", i.Holder.PID),
			Why:    "gives keepalive to what it opens from now on, until Ctrl-C, or with --detach until it is stopped; needs root",
		},
	}
}

func codeText(info tcpvet.ProcessInfo) string {
	if vet.Language(info) == "nginx" {
		return "set so_keepalive=on on the listen line, and proxy_socket_keepalive on toward upstreams"
	}
	return "set SO_KEEPALIVE and TCP_KEEPIDLE on these connections, or close them when they have been idle for some time"
}

func (i *idler) detail(c *tcpvet.Census) []string {
	first := fmt.Sprintf("%s idle for at least %s without SO_KEEPALIVE", counted(c.GroupError, i.Count), vet.Duration(i.edge))
	if m := i.MostIdle; m != nil {
		first += "; the longest for " + vet.Duration(m.Age.Low)
	}
	d := []string{first + "."}
	if most := i.Most(c); most != "" {
		d = append(d, most)
	}
	if i.path.Idle > 0 {
		told := ""
		if i.path.Measured.IsZero() {
			told = ", as was told"
		}
		d = append(d, fmt.Sprintf("The idle limit on the way is %s%s: a connection that is idle for longer is cut off, and neither end knows.", vet.LimitText(&i.path, c.Taken), told))
	}
	if i.Role == tcpvet.Client {
		d = append(d, "If the peer or a middlebox has forgotten one, the next request on it hangs until retransmission gives up, after some 15 min.")
	} else {
		d = append(d, "If a client has vanished, its connection stays here for good and holds a descriptor.")
	}
	ns := c.Netns[i.Netns]
	idle, ok1 := ns.SysctlInt("net.ipv4.tcp_keepalive_time")
	every, ok2 := ns.SysctlInt("net.ipv4.tcp_keepalive_intvl")
	probes, ok3 := ns.SysctlInt("net.ipv4.tcp_keepalive_probes")
	if ok1 && ok2 && ok3 {
		d = append(d, fmt.Sprintf("With SO_KEEPALIVE alone, the settings here would find a dead peer after %d + %d x %d = %s s: set TCP_KEEPIDLE too.",
			idle, probes, every, vet.Count(idle+probes*every)))
	}
	return d
}

func counted(lost, n uint64) string {
	if n == 1 {
		return vet.Bound(lost, "At least ") + "1 connection is"
	}
	return vet.Bound(lost, "At least ") + vet.Count(n) + " connections are"
}
