package nokeepalive

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// idler is the idle connections of one process, over its services.
type idler struct {
	vet.Holding
	idle     uint64 // connections idle for long without keepalive
	folded   uint64 // the same of services that were folded together, which are not in idle
	services []service
}

type service struct {
	at   netip.AddrPort
	idle uint64
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	limit := patiences * c.Patience
	held := vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		return t.Idle != nil && t.Idle.KeepaliveOff.AtLeast(limit) > 0 && atRisk(&c.Now, g)
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
			folded[vet.Held{Netns: g.Netns, Holder: g.Holder, Role: g.Role}] += t.Idle.KeepaliveOff.AtLeast(limit)
		}
	}
	var findings []tcpvet.Finding
	for len(held) > 0 { // Holdings are in the order of holder and role
		n := 1
		for n < len(held) && sameHolder(held[0].Held, held[n].Held) {
			n++
		}
		i := sum(held[:n], limit)
		i.folded = folded[vet.Held{Netns: i.Netns, Holder: i.Holder, Role: i.Role}]
		if i.idle >= some {
			findings = append(findings, i.finding(&c.Now, limit, unguarded[i.Netns]))
		}
		held = held[n:]
	}
	return findings
}

// atRisk leaves out what cannot lose its peer, connections that no process has
// accepted yet, and groups that were folded: they no longer tell whether they are
// over loopback.
func atRisk(c *tcpvet.Census, g tcpvet.Group) bool {
	if g.Holder == tcpvet.Nobody && c.Facts.Has(tcpvet.FactHolders) {
		return false
	}
	if g.Folded() || g.Local.IsLoopback() || g.Service.Addr().IsLoopback() {
		return false
	}
	if g.Role != tcpvet.Client {
		return true
	}
	remote := g.Service.Addr()
	return remote != g.Local && !slices.ContainsFunc(c.Netns[g.Netns].Addresses, func(a tcpvet.Address) bool {
		return a.Prefix.Addr() == remote
	})
}

func sameHolder(a, b vet.Held) bool {
	return a.Netns == b.Netns && a.Holder == b.Holder && a.Role == b.Role
}

func sum(held []vet.Holding, limit time.Duration) idler {
	i := idler{Holding: held[0]}
	for n := range held {
		h := &held[n]
		idle := h.Idle.KeepaliveOff.AtLeast(limit)
		i.idle += idle
		i.services = append(i.services, service{h.Service, idle})
		if n > 0 {
			i.Merge(h)
		}
	}
	slices.SortFunc(i.services, func(a, b service) int {
		return cmp.Or(cmp.Compare(b.idle, a.idle), a.at.Compare(b.at))
	})
	return i
}

func (i *idler) finding(c *tcpvet.Census, limit time.Duration, unguarded uint64) tcpvet.Finding {
	info := c.Processes[i.Holder]
	edge := i.Idle.KeepaliveOff.Edge(limit)
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info,
		Subject: tcpvet.Subject{
			Netns: i.Netns, Container: info.Container, Service: i.Service, Services: len(i.services), Local: i.Local(),
		},
		Detail: i.detail(c, edge),
		Numbers: []tcpvet.Number{
			{Name: "idle_sockets", Value: float64(i.idle)},
			{Name: "idle_limit_s", Value: edge.Seconds()},
			{Name: "without_keepalive_sockets", Value: float64(i.Idle.KeepaliveOff.Total())},
			{Name: "with_keepalive_sockets", Value: float64(i.Idle.KeepaliveOn.Total())},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: codeText(info), Run: "tcpvet explain keepalive"}},
	}
	if i.idle >= many {
		f.Severity = tcpvet.Warning
	}
	if i.folded > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("Another %s, of services that were folded together, are not counted: they may be over loopback, and at no risk.", vet.Count(i.folded)))
	}
	if i.idle < many && i.idle+i.folded >= many {
		f.Certainty = tcpvet.Likely
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if i.Holder.Known() {
		f.Subject.Processes = append([]tcpvet.Process{i.Holder}, i.SharedWith()...)
	}
	toward := "on "
	if i.Role == tcpvet.Client {
		toward = "to "
	}
	about := toward + i.Service.String()
	if !i.Service.IsValid() {
		f.Subject.Services = max(len(i.services), 2)
		about = toward + vet.Counted(f.Subject.Services, "service")
	}
	who := vet.ProgramText(c, i.Holder)
	if i.Role == tcpvet.Client {
		who = vet.OwnerText(c, i.Holder)
	}
	f.Title = vet.Heading(c, i.Netns, info.Container, who, about)
	if m := i.MostIdle; m != nil {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "most_idle_s", Value: m.Age.Low.Seconds()})
	}
	if enter, ok := vet.Enter(c, i.Netns, i.Holder); ok {
		f.Evidence = []tcpvet.Evidence{{
			What: "connections in ESTAB without any timer in this namespace" + vet.OfEveryProcess(c), Got: vet.Count(unguarded),
			Check: enter + "ss -Htno state established | grep -vc timer:",
		}}
	}
	return f
}

func codeText(info tcpvet.ProcessInfo) string {
	if vet.Language(info) == "nginx" {
		return "set so_keepalive=on on the listen line, and proxy_socket_keepalive on toward upstreams"
	}
	return "set SO_KEEPALIVE and TCP_KEEPIDLE on these connections, or close them when they have been idle for some time"
}

func (i *idler) detail(c *tcpvet.Census, edge time.Duration) []string {
	first := fmt.Sprintf("%s idle for at least %s without SO_KEEPALIVE", counted(c.GroupError, i.idle), vet.Duration(edge))
	if m := i.MostIdle; m != nil {
		first += "; the longest for " + vet.Duration(m.Age.Low)
	}
	d := []string{first + "."}
	if len(i.services) > 1 {
		var names []string
		for _, s := range i.services[:min(len(i.services), named)] {
			at := "others"
			if s.at.IsValid() {
				at = s.at.String()
			}
			names = append(names, fmt.Sprintf("%s (%s)", at, vet.AtLeast(c.GroupError, s.idle)))
		}
		if more := len(i.services) - named; more > 0 {
			names = append(names, vet.Counted(more, "other"))
		}
		d = append(d, "Most of them: "+strings.Join(names, ", ")+".")
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
