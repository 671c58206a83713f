package probe

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// noWay is about an attempt for which the kernel, or a router, knew no way.
func (j *judgement) noWay() Verdict {
	remote := j.Remote.Addr().Unmap()
	switch {
	case j.down() && !j.searched():
		return j.loopbackDown()
	case j.Errno == EINVAL && j.Bind.Addr().Unmap().IsLoopback() && !remote.IsLoopback():
		return j.sourceScope()
	case j.Errno == EINVAL && remote.IsLinkLocalUnicast() && remote.Is6() && remote.Zone() == "":
		v := j.verdict(tcpvet.CauseUnknown, "%s is an address of one link, and the target names none.", remote)
		v.Remedies = []tcpvet.Remedy{advise("name the interface behind it, as in fe80::1%eth0", "tcpvet explain EINVAL")}
		return v
	case j.Errno == EINVAL && remote.Is6() && remote.Zone() != "" && j.Route.NoLink:
		v := j.verdict(tcpvet.CauseUnknown, "this namespace has no interface %s, which the target names.", remote.Zone())
		v.Remedies = []tcpvet.Remedy{advise("name the one that the target is behind", j.run("ip -br link"))}
		return v
	case remote.IsMulticast() || j.Route.Many:
		v := j.verdict(tcpvet.CauseNoRoute, "%s is a broadcast or multicast address, and TCP has one peer.", remote)
		v.Remedies = []tcpvet.Remedy{advise("connect to the address of a host", "tcpvet explain ENETUNREACH")}
		return v
	case j.Route.Errno == j.Errno && !j.searched():
		return j.noRoute()
	case j.v6() && j.loopbackSource():
		return j.noSource()
	case j.Errno == ENETUNREACH && j.Bind.IsValid():
		v := j.verdict(tcpvet.CauseNoRoute, "there is no way to %s from %s.", remote, j.Bind.Addr())
		j.seeRoute(&v)
		v.Remedies = []tcpvet.Remedy{advise("see the rules and tables that this source has", j.run("ip rule show"))}
		return v
	case j.before():
		return j.noRouteThen()
	case j.Errno == EHOSTUNREACH:
		return j.hostUnreachable()
	case j.Errno == ENETUNREACH:
		v := j.verdict(tcpvet.CauseNoRoute, "there is a route, so a router on the way to %s has none, and said so by ICMP; or the route has just changed.", remote)
		v.Certainty = tcpvet.Likely
		if j.searched() {
			v.Text[0] = fmt.Sprintf("%s gave %s: there was a route, and a router on the way to %s had none, and said so by ICMP.", j.Step, j.Errno, remote)
			v.Certainty = tcpvet.Certain
		}
		j.seeRoute(&v)
		v.Remedies = []tcpvet.Remedy{advise("find the router that says so: its address is in the answer", j.run("tcpdump -nvi any -c 5 icmp or icmp6"))}
		return v
	}
	return j.unknown()
}

// loopbackSource tells that only ::1 could be had as the source for another host.
func (j *judgement) loopbackSource() bool {
	source := j.Route.Source
	if j.searched() {
		source = j.Local.Addr()
	}
	return source.IsValid() && source.IsLoopback() && !j.here()
}

func (j *judgement) noRoute() Verdict {
	remote := j.Remote.Addr().Unmap()
	why := map[Errno]string{
		ENETUNREACH:  "no route of this namespace leads to %s.",
		EHOSTUNREACH: "the route to %s is of the type unreachable.",
		EACCES:       "the route to %s is of the type prohibit.",
		EINVAL:       "the route to %s is of the type blackhole.",
	}[j.Route.Errno]
	v := j.verdict(tcpvet.CauseNoRoute, why, remote)
	j.seeRoute(&v)
	if j.Route.Errno != ENETUNREACH {
		v.Remedies = []tcpvet.Remedy{advise("somebody forbade it on purpose, or a daemon that sets routes did: see which", j.run("ip "+family(remote)+" route show table all to match "+remote.WithZone("").String()))}
		return v
	}
	text := "give the namespace a route, or a default route"
	if remote.Is6() {
		text += "; where only IPv4 leads there, connect by IPv4 (-4)"
	}
	v.Remedies = []tcpvet.Remedy{advise(text, j.run("ip "+family(remote)+" route show"))}
	return v
}

// seeRoute shows what the routing table answers.
func (j *judgement) seeRoute(v *Verdict) {
	line := "ip route get " + j.Remote.Addr().Unmap().WithZone("").String()
	if zone := j.Remote.Addr().Zone(); zone != "" {
		line += " oif " + vet.Quote(zone)
	}
	if j.Bind.IsValid() && !j.Bind.Addr().IsUnspecified() {
		line += " from " + j.Bind.Addr().Unmap().WithZone("").String()
	}
	if e := j.Route.Errno; e != 0 {
		j.see(v, "what the routing table answers", "RTNETLINK answers: "+e.Message(), line+" 2>&1")
	}
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "-6"
	}
	return "-4"
}

func (j *judgement) sourceScope() Verdict {
	remote := j.Remote.Addr().Unmap()
	v := j.verdict(tcpvet.CauseSourceScope, "the source %s is a loopback address, which does not leave the machine, and %s is not on this one.", j.Bind.Addr(), remote)
	if remote.Is4() {
		j.see(&v, "what the routing table answers", "RTNETLINK answers: "+EINVAL.Message(),
			fmt.Sprintf("ip route get %s from %s 2>&1", remote, j.Bind.Addr().Unmap()))
	}
	v.Remedies = []tcpvet.Remedy{code("bind no source address, or one that the target can answer", "tcpvet explain EINVAL")}
	return v
}

// hostUnreachable is about an answer that the routing table did not give.
func (j *judgement) hostUnreachable() Verdict {
	next := j.Remote.Addr().Unmap()
	if j.Route.Via.IsValid() {
		next = j.Route.Via
	}
	if !j.NeighborFailed {
		v := j.verdict(tcpvet.CauseUnknown, "a router or firewall on the way answered by ICMP that %s cannot be reached, or %s did not answer on its link.", j.Remote.Addr(), next)
		v.Remedies = []tcpvet.Remedy{advise("see who answers what", j.run("tcpdump -nvi any -c 5 icmp or icmp6 or arp"))}
		return v
	}
	v := j.verdict(tcpvet.CauseUnknown, "there is a route, and %s did not answer on the link %s: no host that is up has that address there.", next, vet.Plain(j.Route.Link))
	j.see(&v, "entries for that neighbour without a link address", "1",
		fmt.Sprintf("ip neigh show to %s nud failed nud incomplete | wc -l", next.WithZone("")))
	v.Remedies = []tcpvet.Remedy{advise("see whether the host is up, in the same network, and has that address", j.run("ip neigh show to "+next.WithZone("").String()))}
	return v
}

// refused is about an answer that nobody listens.
func (j *judgement) refused() Verdict {
	port := j.Remote.Port()
	if port == 0 {
		v := j.verdict(tcpvet.CauseRefused, "port 0 is never open: the port of the target was not set.")
		v.Remedies = []tcpvet.Remedy{code("set the port: a configuration that was not read leaves it at 0", "tcpvet explain ECONNREFUSED")}
		return v
	}
	p, ok := j.place()
	if !ok {
		v := j.verdict(tcpvet.CauseRefused, "%s, or a firewall in its name, answered that nobody may connect to port %d.", j.Remote.Addr(), port)
		v.Text = append(v.Text, "The way there and back works. From here an RST of a host without a listener and the reject of a firewall look the same.")
		v.Remedies = []tcpvet.Remedy{advise("see on that host who listens, and on which address", fmt.Sprintf("ss -Htln sport = :%d", port))}
		return v
	}
	v := j.refusedHere(p)
	if !p.sure {
		v.Certainty = tcpvet.Likely
	}
	return v
}

// refusedHere is about a refusal of a namespace that could be looked into.
func (j *judgement) refusedHere(p place) Verdict {
	port, who := j.Remote.Port(), p.text(j.Remote.Addr())
	inside := *j
	inside.enter, inside.entered = p.enter, p.entered
	q, at, others := p.listener(j.Remote)
	check := fmt.Sprintf("ss -Htln sport = :%d | wc -l", port)
	switch {
	case q != nil:
		v := j.verdict(tcpvet.CauseRefused, "%s listens, and the attempt was refused all the same: it began to listen only now, or a firewall of this host rejects.", at)
		v.Certainty = tcpvet.Likely
		v.Remedies = []tcpvet.Remedy{advise("see the rules of the firewall", inside.run("nft list ruleset"))}
		return v
	case len(others) > 0:
		v := j.verdict(tcpvet.CauseRefused, "%s refused: on port %d something listens on %s, and not on %s.", who, port, others[0], j.Remote.Addr())
		inside.see(&v, "listeners on that port", strconv.Itoa(len(others)), check)
		text := fmt.Sprintf("connect to %s, or have the server listen on every address", netip.AddrPortFrom(others[0], port))
		if !p.sure {
			text = "have the server listen on every address: on a loopback address nobody else reaches it"
		}
		v.Remedies = []tcpvet.Remedy{advise(text, "tcpvet explain ECONNREFUSED")}
		return v
	}
	v := j.verdict(tcpvet.CauseRefused, "%s refused: nothing listens on port %d in that namespace.", who, port)
	inside.see(&v, "listeners on that port", "0", check)
	v.Remedies = []tcpvet.Remedy{advise("start the server, or look for it in another namespace: localhost of a container is its own", fmt.Sprintf("tcpvet ls state listening sport = :%d", port))}
	return v
}

// firstWait is how long the kernel waits for the answer to a SYN before it sends it
// again (RFC 6298, section 2).
const firstWait = time.Second

// silence is about SYNs that nobody answered.
func (j *judgement) silence() Verdict {
	if j.down() { // an lo that was up keeps its routes
		return j.loopbackDown()
	}
	if j.v6() && j.loopbackSource() {
		return j.noSource()
	}
	v := Verdict{Cause: tcpvet.CauseTimedOut}
	sent := "What was sent"
	if j.SYNs > 0 {
		sent = vet.Counted(j.SYNs, "SYN")
	}
	switch {
	case j.GaveUp && j.Seen != nil:
		return j.closedPending(v)
	case j.GaveUp:
		v.Text = []string{fmt.Sprintf("No answer came in %s (--timeout): %s stayed without one. The kernel itself would go on for %s.", vet.Duration(j.Took), sent, j.synText())}
	case j.Took < 0:
		v.Text = []string{fmt.Sprintf("%s gave %s: %s stayed without an answer.", j.Step, j.Errno, sent)}
	default:
		v.Text = []string{fmt.Sprintf("%s gave %s: %s stayed without an answer for %s.", j.Step, j.Errno, sent, vet.Duration(j.Took))}
	}
	return j.unanswered(v)
}

// unanswered goes on with what may have kept the answer away.
func (j *judgement) unanswered(v Verdict) Verdict {
	p, found := j.place()
	if found && j.fullQueue(&v, p) {
		return v
	}
	v.Certainty = tcpvet.Likely
	if j.GaveUp && j.Seen == nil && j.Took < firstWait && j.Lost == 0 {
		v.Text = append(v.Text, fmt.Sprintf("That was too short to tell a slow answer from none: the kernel itself waits %s before it sends a SYN again.", vet.Duration(firstWait)))
		v.Remedies = []tcpvet.Remedy{advise("wait for longer: --timeout 5s", "tcpvet explain ETIMEDOUT")}
		return v
	}
	if j.Lost > 0 {
		v.Text = append(v.Text, fmt.Sprintf("Meanwhile conntrack dropped %s here for which it could make no entry (insert_failed): a source NAT of this host has no port left, or two connections chose the same.", vet.Counted(j.Lost, "packet")))
		v.Remedies = append(v.Remedies, advise("see whether it goes on; give the NAT more addresses, or a full range (--random-fully)", j.run("cat /proc/net/stat/nf_conntrack")))
	}
	if found {
		where := "on this host"
		if !p.sure {
			where = "in the namespace " + vet.NetnsText(p.census, p.netns) + " of this host"
		}
		text := "The target is " + where + ", so a firewall here dropped the SYN, or the accept queue was full for a while."
		if j.Lost > 0 {
			text = "Otherwise a firewall here dropped the SYN, or the accept queue was full for a while: the target is " + where + "."
		}
		v.Text = append(v.Text, text)
		v.Remedies = append(v.Remedies, advise("see the rules of the firewall", j.run("nft list ruleset")))
		return v
	}
	v.Text = append(v.Text, "From here these look the same: a firewall drops the SYN or the answer; the host is down; the accept queue of its listener is full; a NAT on the way has no port left.")
	v.Remedies = append(v.Remedies,
		advise("see on that host whether the SYN comes in, and whether the queue is full (Recv-Q above Send-Q)", fmt.Sprintf("ss -Htln sport = :%d", j.Remote.Port())),
		advise("what else it can be", "tcpvet explain ETIMEDOUT"))
	return v
}

// fullQueue adds to a verdict that the accept queue of the listener is full, if it is.
func (j *judgement) fullQueue(v *Verdict, p place) bool {
	q, at, _ := p.listener(j.Remote)
	if q == nil || !q.Known.Has(tcpvet.FactBacklog|tcpvet.FactBacklogMax) || q.Length <= q.Limit {
		return false
	}
	where := ""
	if !p.sure {
		where = " in the namespace " + vet.NetnsText(p.census, p.netns) + " of this host"
		v.Certainty = tcpvet.Likely
	}
	v.Text = append(v.Text, fmt.Sprintf("The accept queue of %s%s is full: %s waiting, and its limit is %s (the kernel takes one more). %s does not accept.",
		at, where, vet.Counted(q.Length, "connection"), vet.Count(q.Limit), vet.OwnerText(p.census, q.Holder)))
	if q.Members == 1 && p.entered {
		v.Evidence = append(v.Evidence, tcpvet.Evidence{
			What: "length and limit of its accept queue", Got: fmt.Sprintf("%d %d", q.Length, q.Limit),
			Check: fmt.Sprintf("%sss -Htln sport = :%d | awk '{print $2, $3}'", p.enter, at.Port()),
		})
	}
	v.Remedies = append(v.Remedies,
		code("have the server accept: find what keeps it; a longer queue only delays the end", "tcpvet explain accept-queue-full"),
		advise("see what the process is busy with", "tcpvet diagnose --rule accept-queue-full"))
	return true
}

// synText says how long the kernel sends SYNs (tcp_syn_retries and
// tcp_syn_linear_timeouts in Documentation/networking/ip-sysctl.rst).
func (j *judgement) synText() string {
	n := j.netns()
	retries, ok := n.SysctlInt("net.ipv4.tcp_syn_retries")
	if !ok {
		return "about 2 min by default"
	}
	linear, _ := n.SysctlInt("net.ipv4.tcp_syn_linear_timeouts")
	total, wait := int64(0), int64(1)
	for i := range retries + linear + 1 {
		total += wait
		if i >= linear {
			wait = min(wait*2, 120) // TCP_RTO_MAX
		}
	}
	return fmt.Sprintf("about %d s (net.ipv4.tcp_syn_retries = %d)", total, retries)
}
