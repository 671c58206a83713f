package portexhaustion

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// wideLow is where a wider range may begin: above the ports that most services
// listen on.
const wideLow = 10240

// usualHigh is where Linux ends its range: one that ends lower was cut by somebody.
const usualHigh = 60999

// lateBind is what to do about ports that bind() keeps.
var lateBind = tcpvet.Advise{
	Code: true,
	Text: "set IP_BIND_ADDRESS_NO_PORT where a source address is bound before connect(), and move listeners out of the range",
	Run:  "tcpvet explain ports",
}

// remedies gives what helps against the state that holds most. Where the way
// into the namespace is not known, no setting is proposed.
func (s *shortage) remedies(c *tcpvet.Census, enter string, ok bool) []tcpvet.Remedy {
	info := c.Processes[vet.FirstKnown(s.holders)]
	code := func(text, run string) tcpvet.Remedy { return tcpvet.Advise{Code: true, Text: text, Run: run} }
	var out []tcpvet.Remedy
	if s.kind == "reuse-unsure" && !s.peer {
		return append(out,
			tcpvet.Advise{
				Text: "if connect() fails with EADDRNOTAVAIL (99) all the same, net.ipv4.tcp_timestamps was switched on lately: wait 60 s, and no TIME-WAIT from before is left",
				Run:  "tcpvet explain tcp_timestamps",
			},
			code("keep connections open and use them again: then it does not matter", "tcpvet explain time-wait"))
	}
	if s.kind == "reuse-unsure" {
		look := "tcpvet explain time-wait"
		if ok {
			look = enter + "ss -Htin " + vet.ShellFilter(vet.Selection{Remote: s.tuple.Remote}.Filter())
		}
		return append(out,
			tcpvet.Advise{Text: "see whether connections to it show ts: then both ends use timestamps, and all is well", Run: look},
			code("keep connections open and use them again: then it does not matter", "tcpvet explain time-wait"))
	}
	switch {
	case s.boundMost():
		out = append(out, lateBind)
	case s.holds(tcpvet.CloseWait, mostly):
		out = append(out, code("close what the peer has closed", vet.FixTopic(info)))
	case s.holds(tcpvet.TimeWait, mostly):
		out = append(out, code("keep connections open and use them again: a pool in place of one connection per request", "tcpvet explain time-wait"))
		if ok {
			out = append(out, vet.ReuseTimeWait(c, s.tuple, enter, s.Usable())...)
		}
	case s.holds(tcpvet.Established, mostly):
		out = append(out, code("give the pool a bound, or share connections", "tcpvet explain ports"))
	case s.holds(tcpvet.FinWait2, mostly):
		out = append(out, code("have the remote application close its side", "tcpvet explain fin-wait-2-pileup"))
	default:
		out = append(out, code("find what opens these connections and keeps them", "tcpvet explain ports"))
	}
	if s.holds(tcpvet.CloseWait, leaking) {
		if !s.holds(tcpvet.CloseWait, mostly) {
			out = append(out, code("close what the peer has closed, which is a part of this", vet.FixTopic(info)))
		}
		return out // more room would only feed the leak
	}
	out = append(out, vet.SpreadOut(s.Usable()))
	if p := c.Netns[s.tuple.Netns].Ports; ok && p.Low > wideLow {
		high := max(p.High, usualHigh)
		out = append(out, tcpvet.SetSysctl{
			Netns: s.tuple.Netns, Where: vet.NetnsFlag(enter), Name: "net.ipv4.ip_local_port_range", Value: fmt.Sprintf("%d %d", wideLow, high),
			Why: fmt.Sprintf("%s ports in place of %s; first reserve what your own services listen on between %d and %d, by net.ipv4.ip_local_reserved_ports",
				vet.Count(int(high)-wideLow+1), vet.Count(s.Range), wideLow, high),
		})
	}
	return out
}
