package probe

import (
	"fmt"
	"strconv"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// bind is about an attempt that ended at bind().
func (j *judgement) bind() Verdict {
	addr, port := j.Bind.Addr(), j.Bind.Port()
	switch {
	case j.Errno == EADDRNOTAVAIL:
		return j.bindAddress()
	case j.Errno == EADDRINUSE && port != 0:
		return j.portTaken()
	case j.Errno == EADDRINUSE:
		return j.bindRange()
	case j.Errno == EACCES:
		return j.privileged()
	case addr.Is6() && addr.IsLinkLocalUnicast() && addr.Zone() == "":
		v := j.verdict(tcpvet.CauseUnknown, "%s is an address of one link, and none is named.", addr)
		v.Remedies = []tcpvet.Remedy{advise("name the interface behind it, as in fe80::1%eth0", "tcpvet explain EINVAL")}
		return v
	case j.Errno == EINVAL && j.Seen != nil:
		v := j.verdict(tcpvet.CauseUnknown, "the socket is bound already, or connected.")
		v.Certainty = tcpvet.Likely
		v.Remedies = []tcpvet.Remedy{code("bind a socket once, before connect() or listen()", "tcpvet explain EINVAL")}
		return v
	}
	return j.unknown()
}

// privileged is about bind() that was not permitted.
func (j *judgement) privileged() Verdict {
	const setting = "net.ipv4.ip_unprivileged_port_start"
	port := j.Bind.Port()
	n := j.netns()
	start, known := n.SysctlInt(setting)
	if known && (port == 0 || int64(port) >= start) {
		v := j.verdict(tcpvet.CauseUnknown, "%s, and that is not for the port: any program may bind those from %d.", EACCES.Message(), start)
		v.Text = append(v.Text, "A security module, or a BPF program of its cgroup, forbids it; or the address is a broadcast address.")
		v.Remedies = []tcpvet.Remedy{advise("see the log of the security module", "tcpvet explain errnos")}
		return v
	}
	v := j.verdict(tcpvet.CauseUnknown, "port %d is below net.ipv4.ip_unprivileged_port_start, and needs CAP_NET_BIND_SERVICE.", port)
	if known {
		j.see(&v, "the first port that any program may bind", strconv.FormatInt(start, 10), "sysctl -n "+setting)
	} else if j.Seen != nil {
		v.Certainty = tcpvet.Likely
	}
	v.Remedies = []tcpvet.Remedy{
		code("bind no source port, or one above it", "tcpvet explain ports"),
		advise("see the first port that any program may bind", j.run("sysctl -n "+setting)),
	}
	if j.Seen != nil {
		v.Remedies[0] = code("bind a port above it, or give the program that capability (AmbientCapabilities= of systemd, setcap)", "tcpvet explain ports")
	}
	return v
}

func (j *judgement) bindAddress() Verdict {
	addr := j.Bind.Addr()
	if setting, off := j.ipv6Off(); addr.Is6() && off {
		return j.ipv6Disabled(setting)
	}
	if addr.Unmap().IsLoopback() && j.LinksKnown && !j.LoopbackUp {
		return j.loopbackDown()
	}
	if a := j.has(addr); a != nil && a.Tentative {
		v := j.verdict(tcpvet.CauseNoSourceAddress, "%s is tentative on %s: whether another host has it is not known yet.", addr, a.Interface)
		j.see(&v, "addresses that are tentative and this one", "1", "ip -6 -o addr show tentative to "+addr.String()+" | wc -l")
		v.Remedies = []tcpvet.Remedy{advise("wait until duplicate address detection has ended; where it does not, look for no carrier or the same address elsewhere", "tcpvet explain EADDRNOTAVAIL")}
		return v
	}
	v := j.verdict(tcpvet.CauseAddressNotLocal, "no interface of this namespace has the address %s.", addr)
	switch {
	case j.Seen != nil && j.netns().Addresses == nil:
		v.Text[0] = fmt.Sprintf("%s gave %s: the namespace has no address %s that may be bound.", j.Step, j.Errno, addr)
		j.unread(&v, "an address that is tentative, IPv6 that is off and lo that is down end so too")
	case j.Seen != nil && j.has(addr) != nil:
		v.Text[0] = fmt.Sprintf("%s gave %s: the namespace did not have the address %s.", j.Step, j.Errno, addr)
		v.Text = append(v.Text, j.later()+" found it there: it was set only then, or its interface was down.")
		v.Certainty = tcpvet.Likely
		v.Remedies = []tcpvet.Remedy{advise("have the program start after the address is set (network-online.target of systemd), or set net.ipv4.ip_nonlocal_bind", "tcpvet explain EADDRNOTAVAIL")}
		return v
	}
	j.see(&v, "interfaces with that address", "0", "ip -o addr show to "+addr.WithZone("").String()+" | wc -l")
	v.Remedies = []tcpvet.Remedy{
		code("bind an address that this namespace has, or none: the kernel then takes that of the route", "tcpvet explain EADDRNOTAVAIL"),
	}
	return v
}

// portTaken is about bind() of a port that another socket has.
func (j *judgement) portTaken() Verdict {
	if j.Same != nil {
		v := j.verdict(tcpvet.CauseTupleExists, "the connection %s to %s is there already%s.", j.source(), j.Remote, j.socketText(j.Same))
		j.seeSame(&v)
		v.Remedies = j.otherPort()
		return v
	}
	v := j.verdict(tcpvet.CauseBoundPorts, "another socket has the port %d%s.", j.Bind.Port(), j.socketText(j.OnPort))
	if j.OnPort == nil {
		v.Text = append(v.Text, "It is in no table: it is merely bound, and this kernel does not tell of those.")
	}
	see := advise("see what is on that port", j.run("ss -Htan sport = :"+strconv.Itoa(int(j.Bind.Port()))))
	v.Remedies = append(j.otherPort(), see)
	if j.Seen != nil {
		j.portTakenThen(&v, see)
	}
	return v
}

// portTakenThen goes on for a program of which nothing tells whether it is a server.
func (j *judgement) portTakenThen(v *Verdict, see tcpvet.Remedy) {
	v.Remedies = []tcpvet.Remedy{
		code("a server: end what has the port, or choose another one; a client: bind no port, and the kernel takes a free one", "tcpvet explain EADDRINUSE"), see,
	}
	switch {
	case j.blind():
		v.Text = v.Text[:1]
	case j.OnPort == nil:
		v.Text = append(v.Text[:1], j.later()+" found none there: it is gone, or merely bound and this kernel does not tell of those.")
	case j.OnPort.State == tcpvet.TimeWait || j.OnPort.State == tcpvet.FinWait2 && !j.OnPort.Holder.Known():
		v.Remedies[0] = code("set SO_REUSEADDR before bind(), as servers do: a listener may then have a port that only ended connections are on", "tcpvet explain EADDRINUSE")
	}
}

// bindRange is about bind() with port 0 that found none free.
func (j *judgement) bindRange() Verdict {
	p := j.netns().Ports
	if p == nil {
		v := j.verdict(tcpvet.CauseBoundPorts, "bind() with port 0 found none free; the port range could not be read.")
		v.Certainty = tcpvet.Likely
		if j.blind() {
			v.Text[0] = fmt.Sprintf("%s gave %s: bind() with port 0 found none free.", j.Step, j.Errno)
			j.unread(&v, "reserved ports can be why too")
		}
		v.Remedies = j.noPortAtBind()
		return v
	}
	if p.Size() <= p.ReservedInside() {
		return j.reserved(p)
	}
	v := j.verdict(tcpvet.CauseBoundPorts, "bind() with port 0 does not know the destination yet, so that all destinations share one range, and all of its %s are in use.", vet.Counted(p.Size()-p.ReservedInside(), "port"))
	if u := j.Use(j.Attempt); u != nil && u.Taken > 0 {
		v.Text = append(v.Text, fmt.Sprintf("%s of them are connections from %s to this target.%s", vet.Count(u.Taken), u.Local, heldBy(j.Census, u)))
	}
	j.mostOfRange(&v)
	j.seeRange(&v, p)
	v.Remedies = j.noPortAtBind()
	return v
}

func (j *judgement) noPortAtBind() []tcpvet.Remedy {
	return []tcpvet.Remedy{
		code("set IP_BIND_ADDRESS_NO_PORT before bind(): the port is then chosen at connect(), and each destination has the whole range", "tcpvet explain EADDRINUSE"),
		code("bind no source address where the route gives the right one anyway", "tcpvet explain ports"),
	}
}

// mostOfRange says which destination takes most of the ports from the address that
// was bound, where the attempt tells of none.
func (j *judgement) mostOfRange(v *Verdict) {
	if j.Remote.IsValid() {
		return
	}
	var most tcpvet.Tuple
	n := uint64(0)
	for t, b := range j.Census.Tuples {
		from := j.Bind.Addr().IsUnspecified() || t.Local == j.Bind.Addr()
		if taken := b.Total(); t.Netns == j.Netns && t.Remote.IsValid() && from && (taken > n || taken == n && t.Compare(most) < 0) {
			most, n = t, taken
		}
	}
	if uses := vet.TupleUses(j.Census, most); n > 0 && len(uses) > 0 {
		v.Text = append(v.Text, fmt.Sprintf("Most go to %s: %s.%s", most.Remote, vet.Counted(n, "connection"), heldBy(j.Census, &uses[0])))
	}
}
