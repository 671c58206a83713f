package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// SlowHalf tells whether more than half of the ports that connect() may choose from
// are taken: it tries every second port first, and then has to search. ok is false
// where the use of the tuple is not known.
func SlowHalf(u *vet.TupleUse) (slow, ok bool) {
	if u == nil || u.Choosable() == 0 {
		return false, false
	}
	return 2*u.Taken > u.Choosable(), true
}

func (j *judgement) connected() Verdict {
	v := Verdict{}
	if j.Self() {
		v.Text = append(v.Text,
			fmt.Sprintf("The socket has connected to itself: nobody listens on %s, which lies in the local port range, and the kernel happened to choose that very port as the source.", j.Remote))
		v.Remedies = []tcpvet.Remedy{
			code("after connect() to a local port compare both ends, and close where they are equal", "tcpvet explain ports"),
			advise("have the server listen outside of the local port range, or reserve its port by net.ipv4.ip_local_reserved_ports", "tcpvet explain ip_local_reserved_ports"),
		}
		return v
	}
	v.Text = append(v.Text, fmt.Sprintf("Connected from %s to %s in %s.", j.Local, j.Remote, micros(j.Took)))
	u := j.Use(j.Attempt)
	if u != nil {
		v.Text = append(v.Text, fmt.Sprintf("%s.%s", taken(u), heldBy(j.Census, u)))
		j.seeRange(&v, u.Ports)
		j.seeOthers(&v, u)
	}
	if slow, ok := SlowHalf(u); ok && slow {
		v.Text = append(v.Text, "More than half of the ports are taken: connect() tries every second port first, and now has to search, some 300-700 us in place of 10 us.")
		v.Remedies = append(v.Remedies, advise("see who takes them, and how fast", "tcpvet diagnose --rule port-exhaustion"))
	}
	v.Text = append(v.Text, j.willHave())
	return v
}

// seeOthers shows the connections of the tuple. Those that were made to try this
// leave a TIME-WAIT each, and are not among them.
func (j *judgement) seeOthers(v *Verdict, u *vet.TupleUse) {
	const most = 8 // longer lines nobody reads
	if len(j.Earlier) >= most {
		return
	}
	all := vet.Selection{Local: netip.AddrPortFrom(u.Local, 0), Remote: u.Remote, Ports: u.Ports}
	filter := all.Filter()
	for _, port := range append(slices.Clip(j.Earlier), j.Local.Port()) {
		filter += fmt.Sprintf(" sport neq :%d", port)
	}
	j.see(v, "other connections of the tuple", vet.AtLeast(j.Census.TupleError, u.Budget.Total()+uint64(u.Budget.ReusableTimeWait)),
		"ss -Htan "+vet.ShellFilter(filter)+" | wc -l")
}

// willHave says what a connection has that nothing more is set on.
func (j *judgement) willHave() string {
	stamps := "no TCP timestamps, so that its TIME-WAIT is never reused early"
	if j.Timestamps {
		stamps = "TCP timestamps"
	}
	n := j.netns()
	idle, ok1 := n.SysctlInt("net.ipv4.tcp_keepalive_time")
	interval, ok2 := n.SysctlInt("net.ipv4.tcp_keepalive_intvl")
	probes, ok3 := n.SysctlInt("net.ipv4.tcp_keepalive_probes")
	keep := "no keepalive until the program sets SO_KEEPALIVE"
	if j.Keepalive {
		keep = "keepalive"
	}
	if ok1 && ok2 && ok3 {
		dead := time.Duration(idle+interval*probes) * time.Second
		keep += fmt.Sprintf(" (then a silent peer is found dead after %d + %d x %d s = %s, unless it sets those too)", idle, probes, interval, vet.Duration(dead))
	}
	return "A connection will have " + stamps + ", and " + keep + "."
}

// micros writes how long connect() took.
func micros(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%d us", d.Microseconds())
	}
	return vet.Duration(d)
}
