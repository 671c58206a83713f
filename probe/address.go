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
		if name == "net.ipv6.conf.lo.disable_ipv6" && !j.target().IsLoopback() {
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

// noFamily is about a socket() of a family that cannot be had.
func (j *judgement) noFamily() Verdict {
	n := j.netns()
	if _, has := n.Sysctls["net.ipv6.conf.all.disable_ipv6"]; has || j.target().Is4() {
		v := j.verdict(tcpvet.CauseUnknown, "this kernel has that family, so a seccomp filter keeps it from the program, as RestrictAddressFamilies= of systemd sets one.")
		v.Remedies = []tcpvet.Remedy{advise("see the unit of the program, or what else starts it", "tcpvet explain errnos")}
		return v
	}
	v := j.verdict(tcpvet.CauseIPv6Disabled, "this kernel has no IPv6, and %s is an IPv6 address.", j.target())
	if j.Seen != nil {
		v.Text[0] = fmt.Sprintf("%s gave %s: this kernel has no IPv6, and an IPv6 socket was asked for.", j.Step, j.Errno)
	}
	if j.Seen != nil && n.Sysctls == nil {
		j.unread(&v, "a seccomp filter (RestrictAddressFamilies= of systemd) ends so too")
	}
	j.insteadOfIPv6(&v)
	return v
}

func (j *judgement) ipv6Disabled(setting string) Verdict {
	v := j.verdict(tcpvet.CauseIPv6Disabled, "%s is an IPv6 address, and IPv6 is off: %s is 1.", j.target(), setting)
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
	what := fmt.Sprintf("%s is on lo, which is down in this namespace.", j.target())
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
