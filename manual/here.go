package manual

import (
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Here is what is known of the host that a page is printed on. What is nil
// was not read; a page then says so.
type Here struct {
	Netns  *tcpvet.Netns             // settings, counters and ports of the namespace at hand
	Host   *tcpvet.Host              // numbers of the whole machine
	States *[tcpvet.NumStates]uint64 // sockets by state
}

// notRead stands for a value that Here does not hold.
const notRead = "not read here"

// text gives what is printed for v.
func (v Value) text(h Here) string {
	if s, ok := v.Of(h); ok {
		return s
	}
	return notRead
}

func (h Here) sysctl(name string) (int64, bool) {
	if h.Netns == nil {
		return 0, false
	}
	return h.Netns.SysctlInt(name)
}

// sysctl shows a setting as the kernel prints it, with a unit behind where
// there is one.
func sysctl(name, unit string) Value {
	return Value{name, func(h Here) (string, bool) {
		if h.Netns == nil {
			return "", false
		}
		s, ok := h.Netns.Sysctls[name]
		if !ok {
			return "", false
		}
		return withUnit(strings.Join(strings.Fields(s), " "), unit), true
	}}
}

// counter shows a counter of the namespace, which counts from its creation.
func counter(name string) Value {
	return Value{name, func(h Here) (string, bool) {
		if h.Netns == nil {
			return "", false
		}
		n, ok := h.Netns.Counters[name]
		return grouped(n), ok
	}}
}

// hostCounter shows a number of the whole machine.
func hostCounter(label, name string) Value {
	return Value{label, func(h Here) (string, bool) {
		if h.Host == nil {
			return "", false
		}
		n, ok := h.Host.Counters[name]
		return grouped(n), ok
	}}
}

// count shows how many sockets are in the state.
func count(s tcpvet.State) Value {
	return Value{"sockets in " + s.String(), func(h Here) (string, bool) {
		if h.States == nil {
			return "", false
		}
		return grouped(h.States[s]), true
	}}
}

// portRange shows the local port range and how many of its ports connect()
// may choose.
func portRange() Value {
	return Value{"local ports", func(h Here) (string, bool) {
		p, usable, ok := h.ports()
		if !ok {
			return "", false
		}
		s := strconv.Itoa(int(p.Low)) + "-" + strconv.Itoa(int(p.High)) + ": " + grouped(p.Size()) + " ports"
		if r := p.ReservedInside(); r > 0 {
			s += " - " + grouped(r) + " reserved = " + grouped(usable)
		}
		return s, true
	}}
}

func (h Here) ports() (p *tcpvet.Ports, usable int, ok bool) {
	if h.Netns == nil || h.Netns.Ports == nil {
		return nil, 0, false
	}
	p = h.Netns.Ports
	return p, p.Size() - p.ReservedInside(), true
}

// sustainable shows how many new connections per second one tuple bears for
// ever when this end closes first and no TIME-WAIT is reused.
func sustainable() Value {
	return Value{"connections to one tuple", func(h Here) (string, bool) {
		_, usable, ok := h.ports()
		if !ok {
			return "", false
		}
		return perSecond(usable, tcpvet.TimeWaitLength), true
	}}
}

// reused shows the same where the kernel may reuse a TIME-WAIT. It says
// nothing where the setting is off or covers loopback only.
func reused() Value {
	return Value{"with tcp_tw_reuse", func(h Here) (string, bool) {
		_, usable, ok := h.ports()
		if !ok {
			return "", false
		}
		r, ok := tcpvet.ReuseOf(h.Netns)
		switch {
		case !ok:
			return "", false
		case r.Mode == 0:
			return "no reuse: it is off, here or by tcp_timestamps", true
		case r.Delay <= 0:
			return "", false
		case r.Mode == 2:
			return perSecond(usable, r.Delay) + ", over loopback only", true
		}
		return perSecond(usable, r.Delay) + ", if the peer has timestamps", true
	}}
}

// perSecond shows a division: "470.5/s (28,232 / 60 s)".
func perSecond(ports int, d time.Duration) string {
	rate := strconv.FormatFloat(float64(ports)/d.Seconds(), 'f', 1, 64)
	whole, tenth, _ := strings.Cut(rate, ".")
	n, _ := strconv.ParseInt(whole, 10, 64)
	return grouped(n) + "." + tenth + "/s (" + grouped(ports) + " ports / " + strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s)"
}

// keepaliveEnd shows after how long keepalive gives up on a silent peer.
func keepaliveEnd() Value {
	return Value{"a silent peer is given up after", func(h Here) (string, bool) {
		idle, ok1 := h.sysctl("net.ipv4.tcp_keepalive_time")
		interval, ok2 := h.sysctl("net.ipv4.tcp_keepalive_intvl")
		probes, ok3 := h.sysctl("net.ipv4.tcp_keepalive_probes")
		if !ok1 || !ok2 || !ok3 {
			return "", false
		}
		return grouped(idle+probes*interval) + " s (" + grouped(idle) + " + " +
			grouped(probes) + " x " + grouped(interval) + ")", true
	}}
}

func withUnit(s, unit string) string {
	if unit == "" {
		return s
	}
	return s + " " + unit
}

// grouped prints n with a comma before each three digits: 28,232.
func grouped[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	if n > 0 {
		s = strconv.FormatUint(uint64(n), 10)
	}
	digits := strings.TrimPrefix(s, "-")
	var b strings.Builder
	b.WriteString(s[:len(s)-len(digits)])
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
