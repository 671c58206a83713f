package probe

import (
	"fmt"
	"strconv"

	"github.com/tcpvet/tcpvet"
)

// ipv6Off tells whether IPv6 is switched off, and by which setting.
func (j *judgement) ipv6Off() (setting string, off bool) {
	n := j.netns()
	for _, name := range []string{"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.lo.disable_ipv6"} {
		if name == "net.ipv6.conf.lo.disable_ipv6" && !j.Remote.Addr().IsLoopback() {
			continue
		}
		if v, ok := n.SysctlInt(name); ok && v != 0 {
			return name, true
		}
	}
	return "", false
}

func (j *judgement) v6() bool { return j.Remote.Addr().Is6() && !j.Remote.Addr().Is4In6() }

// inet6 counts the IPv6 addresses of the namespace that fit.
func (j *judgement) inet6(fits func(tcpvet.Address) bool) int {
	n := 0
	for _, a := range j.netns().Addresses {
		if a.Prefix.Addr().Is6() && fits(a) {
			n++
		}
	}
	return n
}

func (j *judgement) noIPv6() Verdict {
	v := j.verdict(tcpvet.CauseIPv6Disabled, "this kernel has no IPv6, and %s is an IPv6 address.", j.Remote.Addr())
	j.insteadOfIPv6(&v)
	return v
}

func (j *judgement) ipv6Disabled(setting string) Verdict {
	v := j.verdict(tcpvet.CauseIPv6Disabled, "%s is an IPv6 address, and IPv6 is off: %s is 1.", j.Remote.Addr(), setting)
	j.see(&v, "IPv6 is off", "1", "sysctl -n "+setting)
	j.insteadOfIPv6(&v)
	v.Remedies = append(v.Remedies, j.set(setting, "0", "only where IPv6 is wanted here")...)
	return v
}

// insteadOfIPv6 tells how to come by without.
func (j *judgement) insteadOfIPv6(v *Verdict) {
	v.Remedies = append(v.Remedies, advise("connect to an IPv4 address; where a name gave this one (localhost is ::1 in many hosts files), take that line out of the hosts file of that container", "tcpvet explain EADDRNOTAVAIL"))
}

func (j *judgement) loopbackDown() Verdict {
	what := fmt.Sprintf("%s is on lo, which is down in this namespace.", j.Remote.Addr())
	v := Verdict{Cause: tcpvet.CauseLoopbackDown, Text: []string{"No answer came: " + what}}
	if j.Errno != 0 {
		v = j.verdict(v.Cause, "%s", what)
	}
	j.see(&v, "lo among the interfaces that are up", "0", "ip -o link show up dev lo | wc -l")
	v.Remedies = []tcpvet.Remedy{tcpvet.Advise{
		Text: "set lo up, or have what made the namespace do it: ip link set lo up", Run: j.run("ip link show lo"), May: tcpvet.ChangesKernel,
	}}
	return v
}

// down tells that a loopback address cannot be reached since lo is down.
func (j *judgement) down() bool {
	return j.LinksKnown && !j.LoopbackUp && j.Remote.Addr().Unmap().IsLoopback()
}

// noSource is about an IPv6 target whose every address may not be its source.
func (j *judgement) noSource() Verdict {
	tentative := j.inet6(func(a tcpvet.Address) bool { return a.Tentative })
	all := j.inet6(func(tcpvet.Address) bool { return true })
	v := Verdict{Cause: tcpvet.CauseNoSourceAddress}
	if j.Errno == EADDRNOTAVAIL {
		v = j.verdict(v.Cause, "there is a route to %s, and no address here that may be the source.", j.Remote.Addr())
	} else {
		answer := "No answer came"
		if j.Errno != 0 {
			answer = fmt.Sprintf("%s gave %s", j.Step, j.Errno)
		}
		v.Text = []string{fmt.Sprintf("%s: for want of another address the kernel takes ::1 as the source of what it sends to %s, to which nobody can answer.", answer, j.Remote.Addr())}
	}
	switch {
	case tentative > 0:
		v.Text = append(v.Text, fmt.Sprintf("Tentative IPv6 addresses: %d of %d. Whether another host has the same is not known yet, so that such may not be used; where it stays so for seconds, no carrier or an address taken twice is why.", tentative, all))
	default:
		v.Text = append(v.Text, "No IPv6 address of the scope of the target is set on an interface that is up.")
	}
	j.see(&v, "IPv6 addresses that are tentative", strconv.Itoa(tentative), "ip -6 -o addr show tentative | wc -l")
	j.see(&v, "IPv6 addresses in all", strconv.Itoa(all), "ip -6 -o addr show | wc -l")
	v.Remedies = []tcpvet.Remedy{
		advise("wait until duplicate address detection has ended, or give the interface an address; a container's address that cannot be a duplicate is set with nodad", "tcpvet explain EADDRNOTAVAIL"),
	}
	return v
}

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
		v := j.verdict(tcpvet.CauseUnknown, "port %d is below net.ipv4.ip_unprivileged_port_start, and needs CAP_NET_BIND_SERVICE.", port)
		v.Remedies = []tcpvet.Remedy{
			code("bind no source port, or one above it", "tcpvet explain ports"),
			advise("see the first port that any program may bind", j.run("sysctl -n net.ipv4.ip_unprivileged_port_start")),
		}
		return v
	case addr.Is6() && addr.IsLinkLocalUnicast() && addr.Zone() == "":
		v := j.verdict(tcpvet.CauseUnknown, "%s is an address of one link, and none is named.", addr)
		v.Remedies = []tcpvet.Remedy{advise("name the interface behind it, as in fe80::1%eth0", "tcpvet explain EINVAL")}
		return v
	}
	return j.unknown()
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
	j.see(&v, "interfaces with that address", "0", "ip -o addr show to "+addr.WithZone("").String()+" | wc -l")
	v.Remedies = []tcpvet.Remedy{
		code("bind an address that this namespace has, or none: the kernel then takes that of the route", "tcpvet explain EADDRNOTAVAIL"),
	}
	return v
}
