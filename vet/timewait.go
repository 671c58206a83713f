package vet

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// ReuseKnown tells whether the Census could tell which TIME-WAITs of the
// namespace the kernel would reuse: by its settings and by the timers.
func ReuseKnown(c *tcpvet.Census, ns tcpvet.NetnsID) bool {
	n := c.Netns[ns]
	_, ok := tcpvet.ReuseOf(&n)
	return ok && c.Facts.Has(tcpvet.FactTimer)
}

// ReuseDelay tells whether the kernel gives the port of a TIME-WAIT of this tuple
// to a new connection, and after how long. on is false where that is not known.
func ReuseDelay(c *tcpvet.Census, t tcpvet.Tuple) (delay time.Duration, on bool) {
	if !ReuseKnown(c, t.Netns) {
		return 0, false
	}
	n := c.Netns[t.Netns]
	r, _ := tcpvet.ReuseOf(&n)
	return r.Delay, reuses(int64(r.Mode), t)
}

// StampsUnsure tells that TIME-WAITs of this tuple, which count as taken since
// timestamps are off, may be reused all the same. The kernel goes by the stamp
// that each has from its connection (tw_ts_recent_stamp in kernel function
// tcp_twsk_unique), and one that was opened while they were on keeps them. The
// other way round, what was opened while they were off is not reused though they
// are on now: that may be so of all that counts as reusable (Budget.ReusableTimeWait).
func StampsUnsure(c *tcpvet.Census, t tcpvet.Tuple) bool {
	if b := c.Tuples[t]; b == nil || b.Taken[tcpvet.TimeWait] == 0 || !ReuseKnown(c, t.Netns) {
		return false
	}
	n := c.Netns[t.Netns]
	mode, _ := n.SysctlInt("net.ipv4.tcp_tw_reuse")
	stamps, _ := n.SysctlInt("net.ipv4.tcp_timestamps")
	return stamps == 0 && reuses(mode, t)
}

// The sentences about TIME-WAITs that are reused, or may be. The first takes how
// many there are.
const (
	ReusableText     = "Another %s TIME-WAIT would be reused now, if their connections had timestamps, and are not counted."
	StampsUnsureText = "Timestamps are off now, so the TIME-WAITs count as taken; the kernel still reuses those of connections that were opened while timestamps were on."
)

// reuses tells whether tcp_tw_reuse covers the tuple.
func reuses(mode int64, t tcpvet.Tuple) bool {
	return mode == 1 || mode == 2 && (t.Local.IsLoopback() || t.Remote.Addr().IsLoopback())
}

// Sustainable is how many connections a second that many ports bear toward one
// endpoint when this side closes first and each port rests for TIME-WAIT.
func Sustainable(ports int) float64 {
	return float64(ports) / tcpvet.TimeWaitLength.Seconds()
}

// ReuseTimeWait gives the settings that let the kernel give the port of a
// TIME-WAIT of this tuple to a new connection, none where they are not known or
// would change nothing. usable is how many ports the tuple can use.
func ReuseTimeWait(c *tcpvet.Census, t tcpvet.Tuple, enter string, usable int) []tcpvet.Remedy {
	n := c.Netns[t.Netns]
	mode, ok1 := n.SysctlInt("net.ipv4.tcp_tw_reuse")
	stamps, ok2 := n.SysctlInt("net.ipv4.tcp_timestamps")
	if !ok1 || !ok2 {
		return nil
	}
	set := func(name, why string) tcpvet.Remedy {
		return tcpvet.SetSysctl{Netns: t.Netns, Where: NetnsFlag(enter), Name: name, Value: "1", Why: why}
	}
	var out []tcpvet.Remedy
	if stamps == 0 {
		out = append(out, set("net.ipv4.tcp_timestamps", "a connection that opens without timestamps, at either end, leaves a TIME-WAIT that is not reused"))
	}
	if reuses(mode, t) {
		return out
	}
	n.Sysctls = map[string]string{"net.ipv4.tcp_tw_reuse": "1", "net.ipv4.tcp_timestamps": "1"}
	if delay, ok := c.Netns[t.Netns].Sysctls["net.ipv4.tcp_tw_reuse_delay"]; ok {
		n.Sysctls["net.ipv4.tcp_tw_reuse_delay"] = delay
	}
	r, ok := tcpvet.ReuseOf(&n)
	if !ok || r.Delay <= 0 {
		return out
	}
	return append(out, set("net.ipv4.tcp_tw_reuse", fmt.Sprintf(
		"safe for a client, and needs timestamps at both ends: %s ports / %s = %s in place of %s ports / %s = %s",
		Count(usable), Duration(r.Delay), PerSecond(float64(usable)/r.Delay.Seconds()),
		Count(usable), Duration(tcpvet.TimeWaitLength), PerSecond(Sustainable(usable)))))
}

// SpreadOut is the advice to use more addresses.
func SpreadOut(usable int) tcpvet.Remedy {
	return tcpvet.Advise{
		Text: fmt.Sprintf("spread the connections over more destination or source addresses: each pair has %s of its own; tcpvet run --source-pool ADDRESS,ADDRESS -- COMMAND has a program's connections take source addresses in turn", Counted(usable, "port")),
		Run:  "tcpvet explain ports",
	}
}

// PortRangeEvidence shows the local port range.
func PortRangeEvidence(p *tcpvet.Ports, enter string) tcpvet.Evidence {
	return tcpvet.Evidence{
		What: "local port range", Got: fmt.Sprintf("%d %d", p.Low, p.High),
		Check: enter + "sysctl -n net.ipv4.ip_local_port_range",
	}
}
