package probe

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// Use gives the ports of the tuple that the attempt was about, nil where the source
// address or the port range is not known.
func (s *Scene) Use(a *Attempt) *vet.TupleUse {
	t := tcpvet.Tuple{Netns: s.Netns, Remote: netip.AddrPortFrom(a.Remote.Addr().Unmap().WithZone(""), a.Remote.Port())}
	switch {
	case a.Local.IsValid():
		t.Local = a.Local.Addr()
	case a.Bind.IsValid() && !a.Bind.Addr().IsUnspecified():
		t.Local = a.Bind.Addr()
	default:
		t.Local = s.Route.Source
	}
	t.Local = t.Local.Unmap().WithZone("")
	if !t.Local.IsValid() {
		return nil
	}
	uses := vet.TupleUses(s.Census, t)
	if len(uses) == 0 {
		return nil
	}
	return &uses[0]
}

// notAvailable is about connect() that found no local address or port.
func (j *judgement) notAvailable() Verdict {
	if j.Bind.Port() != 0 && !j.before() {
		return j.sameTuple()
	}
	if j.v6() && !j.searched() {
		setting, off := j.ipv6Off()
		switch {
		case off:
			return j.ipv6Disabled(setting)
		case j.down():
			return j.loopbackDown()
		case j.Route.Known && j.Route.Errno != 0 && !j.Remote.Addr().IsLoopback():
			return j.noRoute()
		case j.Route.Known && !j.Route.Source.IsValid():
			return j.noSource()
		case j.before():
			return j.noSourceThen()
		}
	}
	if j.before() {
		return j.unknown()
	}
	use := j.Use(j.Attempt)
	switch {
	case use == nil && j.Seen != nil:
		return j.noPort()
	case use == nil:
		v := j.verdict(tcpvet.CausePortsExhausted, "no local port is left for %s, as far as the error tells: the port range could not be read.", j.Remote)
		v.Certainty = tcpvet.Likely
		v.Remedies = []tcpvet.Remedy{advise("count the ports of each destination", "tcpvet diagnose --rule port-exhaustion")}
		return v
	case use.Usable() <= 0:
		return j.reserved(use.Ports)
	case use.Left == 0 && use.Blocked > use.Taken:
		return j.blocked(use)
	case use.Left == 0:
		return j.exhausted(use)
	case j.Seen != nil:
		return j.freeAgain(use)
	}
	v := j.verdict(tcpvet.CauseUnknown, "%s of %s local ports were free just before, so one should have been found.", vet.Count(use.Left), vet.Count(use.Usable()))
	v.Text = append(v.Text, "Ports that were taken meanwhile, a socket option of the program (IP_LOCAL_PORT_RANGE) or a BPF program can be why.")
	v.Remedies = []tcpvet.Remedy{advise("look again", "tcpvet diagnose --rule port-exhaustion")}
	return v
}

func (j *judgement) reserved(p *tcpvet.Ports) Verdict {
	v := j.verdict(tcpvet.CauseReservedPorts, "the reserved ports cover the whole local port range %d-%d of this namespace. It takes no connection for that.", p.Low, p.High)
	if p.Size() == 0 {
		v.Text[0] = fmt.Sprintf("%s gave %s: the local port range %d-%d of this namespace holds no port.", j.Step, j.Errno, p.Low, p.High)
	}
	j.seeRange(&v, p)
	if reserved, ok := j.netns().Sysctls["net.ipv4.ip_local_reserved_ports"]; ok {
		j.see(&v, "reserved ports", reserved, "sysctl -n net.ipv4.ip_local_reserved_ports")
	}
	v.Remedies = j.set("net.ipv4.ip_local_reserved_ports", "", "reserve only what your own services listen on; this empties the list")
	return v
}

// seeRange shows the local port range.
func (j *judgement) seeRange(v *Verdict, p *tcpvet.Ports) {
	if j.entered {
		v.Evidence = append(v.Evidence, vet.PortRangeEvidence(p, j.enter))
	}
}

// blocked is about ports that bind() keeps from every tuple.
func (j *judgement) blocked(u *vet.TupleUse) Verdict {
	v := j.verdict(tcpvet.CauseBoundPorts, "%s of the %s local ports are kept by sockets that bind() put there, and connect() may choose none of them.",
		vet.Count(u.Blocked), vet.Count(u.Usable()))
	if u.Taken > 0 {
		v.Text = append(v.Text, fmt.Sprintf("The other %s are connections to %s.", vet.Count(u.Taken), j.Remote))
	}
	j.seeRange(&v, u.Ports)
	if n := j.listening(u.Ports); n > 0 {
		j.see(&v, "of these, listeners", vet.Count(n), "ss -Htln "+vet.Selection{Ports: u.Ports}.Filter()+" | wc -l")
	}
	v.Remedies = []tcpvet.Remedy{
		code("move listeners out of the range; set IP_BIND_ADDRESS_NO_PORT where a source address is bound before connect()", "tcpvet explain ports"),
		advise("see which they are, where the kernel tells", "tcpvet ls state bound-inactive"),
	}
	return v
}

// listening counts the listening sockets with a port of the range.
func (j *judgement) listening(p *tcpvet.Ports) int {
	n := 0
	for l, q := range j.Census.Listeners {
		if l.Netns == j.Netns && p.Contains(l.Local.Port()) {
			n += max(q.Members, 1)
		}
	}
	return n
}

// half, of the ports in use, is what a state must hold to be called the reason.
const half = 0.5

func (j *judgement) exhausted(u *vet.TupleUse) Verdict {
	c := j.Census
	v := j.verdict(tcpvet.CausePortsExhausted, "no local port is left from %s. %s; other destinations still connect.", between(u), taken(u))
	if u.Left > 0 { // again
		v.Text = []string{fmt.Sprintf("%s gave %s: no local port was left from %s.", j.Step, j.Errno, between(u)), taken(u) + " now."}
	}
	var states []string
	most := tcpvet.State(0)
	for _, s := range tcpvet.States {
		if n := u.Budget.Taken[s]; n > 0 {
			states = append(states, vet.Count(n)+" "+s.String())
			if most == 0 || n > u.Budget.Taken[most] {
				most = s
			}
		}
	}
	if len(states) > 0 {
		v.Text = append(v.Text, "By state: "+strings.Join(states, ", ")+"."+heldBy(c, u))
	}
	j.seeRange(&v, u.Ports)
	all := vet.Selection{Local: netip.AddrPortFrom(u.Local, 0), Remote: u.Remote, Ports: u.Ports}
	if j.entered {
		v.Evidence = append(v.Evidence, tcpvet.Evidence{
			What: "connections of the tuple", Got: vet.AtLeast(c.TupleError, u.Budget.Total()+uint64(u.Budget.ReusableTimeWait)), Check: j.enter + all.Count(),
		})
	}
	held := func(s tcpvet.State) bool { return u.Taken > 0 && float64(u.Budget.Taken[s]) >= half*float64(u.Taken) }
	switch first := vet.FirstKnown(u.Holders); {
	case held(tcpvet.CloseWait):
		v.Text = append(v.Text, "CLOSE-WAIT is a leak in the program: the peer has closed, and the program never did. No setting cures it.")
		v.Remedies = []tcpvet.Remedy{code("close what the peer has closed", vet.FixTopic(c.Processes[first]))}
		return v // more room would only feed the leak
	case held(tcpvet.TimeWait):
		v.Text = append(v.Text, fmt.Sprintf("Connections are opened and closed faster than TIME-WAIT gives ports back: %s is what they bear.", vet.PerSecond(vet.Sustainable(u.Choosable()))))
		v.Remedies = []tcpvet.Remedy{code("keep connections open and use them again: a pool in place of one connection per request", "tcpvet explain time-wait")}
		if j.entered {
			v.Remedies = append(v.Remedies, vet.ReuseTimeWait(c, u.Tuple, j.enter, u.Usable())...)
		}
	case held(tcpvet.Established):
		v.Text = append(v.Text, "The connections are open: too many are wanted at once, or a pool has no bound.")
		v.Remedies = []tcpvet.Remedy{code("give the pool a bound, or share connections", "tcpvet explain ports")}
	case held(tcpvet.FinWait2):
		v.Text = append(v.Text, "The remote application does not close its side, so the ports stay in FIN-WAIT-2.")
		v.Remedies = []tcpvet.Remedy{code("have the remote application close its side", "tcpvet explain fin-wait-2-pileup")}
	default:
		v.Remedies = []tcpvet.Remedy{code("find what opens these connections and keeps them", "tcpvet explain ports")}
	}
	v.Remedies = append(v.Remedies, vet.SpreadOut(u.Usable()))
	return v
}

func between(u *vet.TupleUse) string { return u.Local.String() + " to " + u.Remote.String() }

// taken says where the ports of the range are.
func taken(u *vet.TupleUse) string {
	text := fmt.Sprintf("The range %d-%d has %s: ", u.Ports.Low, u.Ports.High, vet.Counted(u.Range, "port"))
	if u.Reserved > 0 {
		text += fmt.Sprintf("%s reserved, ", vet.Count(u.Reserved))
	}
	if u.Blocked > 0 {
		text += fmt.Sprintf("%s kept by bind(), ", vet.Count(u.Blocked))
	}
	return text + fmt.Sprintf("%s taken by this tuple, %s left", vet.Count(u.Taken), vet.Count(u.Left))
}

// heldBy goes on after a sentence with who has the connections of the tuple.
func heldBy(c *tcpvet.Census, u *vet.TupleUse) string {
	if text := vet.HeldBy(c, u.Holders); text != "" {
		return " " + text
	}
	return ""
}

// sameTuple is about connect() with a source port of the program's own choice.
func (j *judgement) sameTuple() Verdict {
	v := j.verdict(tcpvet.CauseTupleExists, "the connection %s to %s is there already%s.", j.source(), j.Remote, j.socketText(j.Same))
	switch {
	case j.Same == nil && j.Seen != nil: // the kernel gives this error for no other reason then
		v.Text[0] = fmt.Sprintf("%s gave %s: a connection from %s to %s was there already.", j.Step, j.Errno, j.source(), j.Remote)
		if !j.blind() {
			v.Text = append(v.Text, j.later()+" found it no more.")
		}
	case j.Same == nil:
		v.Certainty = tcpvet.Likely
		v.Text[0] = fmt.Sprintf("%s gave %s: with a source port of its own, the one reason is a connection with the same four numbers; the look just before saw none.", j.Step, j.Errno)
	}
	j.seeSame(&v)
	v.Remedies = j.otherPort()
	return v
}

// source is what the attempt was bound to.
func (j *judgement) source() netip.AddrPort {
	if j.Bind.Addr().IsUnspecified() && j.Route.Source.IsValid() {
		return netip.AddrPortFrom(j.Route.Source, j.Bind.Port())
	}
	return j.Bind
}

// socketText says in which state a socket is and who holds it.
func (j *judgement) socketText(s *tcpvet.Socket) string {
	if s == nil {
		return ""
	}
	text := ", in " + s.State.String()
	if s.Holder.Known() {
		text += ", held by " + vet.ProgramText(j.Census, s.Holder)
	}
	return text
}

func (j *judgement) seeSame(v *Verdict) {
	if j.Same == nil {
		return
	}
	j.see(v, "connections with these four numbers", "1", vet.Selection{Local: j.source(), Remote: j.Remote}.Count())
}

func (j *judgement) otherPort() []tcpvet.Remedy {
	return []tcpvet.Remedy{code("choose no source port: the kernel then takes a free one", "tcpvet explain ports")}
}
