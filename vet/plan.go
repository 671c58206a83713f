package vet

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Plan says what would carry a rate of new connections that this side closes first.
type Plan struct {
	Use  TupleUse      // what it starts from
	Rate float64       // connections a second, more than 0
	Hold time.Duration // how long one is open on average; 0 where it was not told
	Held int           // ports that stay taken, in other states than TIME-WAIT
	Free int           // ports that connections may come and go on
	Ways []Way         // as things are, then what could be done
}

// Way is one way to carry the rate.
type Way struct {
	Name       string // as-is pooling wider-range source-addresses destinations tw-reuse
	Carries    *bool  // nil where it hangs on what is not known
	Arithmetic []string
	Numbers    []tcpvet.Number
	Remedies   []tcpvet.Remedy
}

// The widest range that leaves the ports alone for which a program needs a
// privilege (net.ipv4.ip_unprivileged_port_start).
const (
	widestLow  = 1024
	widestHigh = 65535
)

// LeakPart is the part of a tuple's ports from which CLOSE-WAIT makes a wider range
// useless.
const LeakPart = 0.10

// PlanNotes are what every plan rests on.
var PlanNotes = []string{
	"It is for one tuple, and this side closes first: where the server does, the TIME-WAIT rests there, and a port is taken here only while its connection is open.",
	"A NAT or an L7 balancer on the way opens the connections in its own name: the limit moves there, to its addresses, its range and all of its clients together.",
}

// PlanFor works out a plan that starts from the use of a tuple. hold is how long a
// connection is open on average, 0 where that is not known.
func PlanFor(c *tcpvet.Census, u TupleUse, rate float64, hold time.Duration) Plan {
	p := Plan{Use: u, Rate: rate, Hold: hold}
	p.Held = max(u.Taken-int(u.Budget.Taken[tcpvet.TimeWait]), 0)
	p.Free = max(u.Choosable()-p.Held, 0)
	enter, ok := Enter(c, u.Netns, FirstKnown(u.Holders))
	p.Ways = []Way{p.asIs(), p.pooling(), p.widerRange(c, enter, ok), p.addresses("source-addresses", "source address", "source addresses"),
		p.addresses("destinations", "remote address or port", "remote addresses or ports"), p.twReuse(c, enter, ok)}
	return p
}

// needs is how many ports the rate takes where each rests for so long.
func (p *Plan) needs(rest time.Duration) int {
	return ceil(p.Rate * (rest + p.Hold).Seconds())
}

// needsText shows that sum: "500/s x 60 s = 30,000 ports".
func (p *Plan) needsText(rest time.Duration) string {
	return fmt.Sprintf("%s x %s = %s", p.RateText(), p.eachText(rest), Counted(p.needs(rest), "port"))
}

// RateText writes the rate as it was given: "500/s".
func (p *Plan) RateText() string {
	if p.Rate == math.Trunc(p.Rate) {
		return Count(int64(p.Rate)) + "/s"
	}
	_, part, _ := strings.Cut(strconv.FormatFloat(p.Rate, 'f', -1, 64), ".")
	return Count(int64(p.Rate)) + "." + part + "/s"
}

// freeText shows where the free ports come from: "28,232 - 2 reserved - 1 kept by
// bind() - 100 that stay taken = 28,129 ports".
func (p *Plan) freeText(h Headroom, free int) string {
	text := Count(h.Range)
	for _, less := range []struct {
		n    int
		what string
	}{{h.Reserved, "reserved"}, {h.Blocked, "kept by bind()"}, {p.Held, "that stay taken"}} {
		if less.n > 0 {
			text += fmt.Sprintf(" - %s %s", Count(less.n), less.what)
		}
	}
	if text == Count(free) {
		return Counted(free, "port")
	}
	return text + " = " + Counted(free, "port")
}

// bears shows the most that so many ports carry: "28,232 / 60 s = 470/s".
func (p *Plan) bears(ports int, rest time.Duration) string {
	return fmt.Sprintf("%s / %s = %s at most", Count(ports), p.eachText(rest), PerSecond(p.most(ports, rest)))
}

// eachText is how long one connection takes its port: "60 s" where it is as good as
// never open.
func (p *Plan) eachText(rest time.Duration) string {
	if p.Hold > 0 {
		return "(" + inSeconds(p.Hold) + " open + " + inSeconds(rest) + ")"
	}
	return inSeconds(rest)
}

// inSeconds writes a duration so that a reader can do the sum: "60 s", "1.5 s",
// "50 ms".
func inSeconds(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatFloat(d.Seconds()*1000, 'f', -1, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

func (p *Plan) most(ports int, rest time.Duration) float64 {
	return float64(ports) / (rest + p.Hold).Seconds()
}

func (p *Plan) asIs() Way {
	need, rest := p.needs(p.Use.Rest), p.Use.Rest
	return Way{
		Name: "as-is", Carries: answer(need <= p.Free),
		Arithmetic: []string{p.needsText(rest), "there are " + p.freeText(p.Use.Headroom, p.Free), p.bears(p.Free, rest)},
		Numbers: []tcpvet.Number{
			{Name: "needs_ports", Value: float64(need)}, {Name: "free_ports", Value: float64(p.Free)},
			{Name: "sustainable_per_s", Value: p.most(p.Free, rest)},
		},
	}
}

func (p *Plan) pooling() Way {
	w := Way{Name: "pooling", Remedies: []tcpvet.Remedy{tcpvet.Advise{
		Code: true, Text: "keep connections open and use them again: HTTP keep-alive, a session, a pool", Run: "tcpvet explain time-wait",
	}}}
	if p.Hold == 0 {
		longest := time.Duration(float64(p.Free) / p.Rate * float64(time.Second))
		w.Arithmetic = []string{
			p.RateText() + " x the time that one use takes = connections that stay open: give that time by --hold",
			fmt.Sprintf("%s / (%s) = %s: so long may one use take on average", Count(p.Free), p.RateText(), Duration(longest)),
		}
		w.Numbers = []tcpvet.Number{{Name: "longest_hold_s", Value: longest.Seconds()}}
		return w
	}
	n := ceil(p.Rate * p.Hold.Seconds())
	if w.Carries = answer(n <= p.Free); !*w.Carries {
		w.Remedies = nil
	}
	w.Arithmetic = []string{fmt.Sprintf("%s x %s = %s that stay open and are used again; none is closed, so none rests", p.RateText(), inSeconds(p.Hold), Counted(n, "connection"))}
	w.Numbers = []tcpvet.Number{{Name: "pool_connections", Value: float64(n)}}
	return w
}

// widerRange finds the narrowest range that carries the rate. It grows upward
// first: hardly anything listens there.
func (p *Plan) widerRange(c *tcpvet.Census, enter string, ok bool) Way {
	ports, bound, need := p.Use.Ports, c.Bound[p.Use.Netns], p.needs(p.Use.Rest)
	up := widestHigh - int(ports.High)
	most := up + max(int(ports.Low)-widestLow, 0)
	wider := func(n int) *tcpvet.Ports {
		w := *ports
		w.High += uint16(min(n, up))
		w.Low -= uint16(max(n-up, 0))
		return &w
	}
	free := func(n int) int { return max(roomIn(wider(n), bound).Left-p.Held, 0) }
	n := sort.Search(most, func(n int) bool { return free(n) >= need })
	if r := wider(n); n < most && r.Low%2 == r.High%2 && n > 0 {
		n++ // the kernel wants both parities alike: it warns otherwise
	}
	r, got := wider(n), free(n)
	w := Way{Name: "wider-range", Carries: answer(got >= need), Numbers: []tcpvet.Number{
		{Name: "low_port", Value: float64(r.Low)}, {Name: "high_port", Value: float64(r.High)},
		{Name: "free_ports", Value: float64(got)}, {Name: "sustainable_per_s", Value: p.most(got, p.Use.Rest)},
	}}
	if n == 0 {
		w.Arithmetic = []string{fmt.Sprintf("%d-%d is wide enough", r.Low, r.High)}
		if got < need {
			w.Arithmetic = []string{fmt.Sprintf("%d-%d cannot be made wider", r.Low, r.High)}
		}
		return w
	}
	w.Arithmetic = []string{
		fmt.Sprintf("%d-%d: %s", r.Low, r.High, p.freeText(roomIn(r, bound), got)),
		p.bears(got, p.Use.Rest),
	}
	if leaked := int(p.Use.Budget.Taken[tcpvet.CloseWait]); float64(leaked) >= LeakPart*float64(p.Use.Choosable()) {
		w.Arithmetic = append(w.Arithmetic, Count(leaked)+" are in CLOSE-WAIT: a leak fills any range, so that is to be cured first")
	}
	if ok && got >= need {
		w.Remedies = []tcpvet.Remedy{tcpvet.SetSysctl{
			Netns: p.Use.Netns, Where: NetnsFlag(enter), Name: "net.ipv4.ip_local_port_range", Value: fmt.Sprintf("%d %d", r.Low, r.High),
			Why: "first reserve what your own services listen on there, by net.ipv4.ip_local_reserved_ports",
		}}
	}
	return w
}

// addresses is how many it takes where each new one brings all ports again.
func (p *Plan) addresses(name, one, many string) Way {
	need, each := p.needs(p.Use.Rest), p.Use.Choosable()
	w := Way{Name: name}
	if each == 0 {
		w.Carries, w.Arithmetic = answer(false), []string{"no port can be chosen at any address"}
		return w
	}
	n, sum := 1+max(ceil(float64(need-p.Free)/float64(each)), 0), ""
	switch {
	case need <= p.Free:
		sum = fmt.Sprintf("%s <= %s: 1 %s is enough", Count(need), Count(p.Free), one)
	case p.Free == each:
		sum = fmt.Sprintf("%s / %s, rounded up = %s %s", Counted(need, "port"), Count(each), Count(n), many)
	default:
		sum = fmt.Sprintf("1 + (%s - %s) / %s, rounded up = %s %s", Count(need), Count(p.Free), Count(each), Count(n), many)
	}
	w.Carries, w.Arithmetic = answer(true), []string{sum}
	w.Numbers = []tcpvet.Number{{Name: "addresses", Value: float64(n)}}
	return w
}

// twReuse is what tcp_tw_reuse=1 with timestamps at both ends would do.
func (p *Plan) twReuse(c *tcpvet.Census, enter string, ok bool) Way {
	delay := time.Second // compiled in where the setting does not exist
	n := c.Netns[p.Use.Netns]
	if ms, known := n.SysctlInt("net.ipv4.tcp_tw_reuse_delay"); known && ms > 0 {
		delay = time.Duration(ms) * time.Millisecond
	}
	need := p.needs(delay)
	w := Way{Name: "tw-reuse", Carries: answer(need <= p.Free),
		Arithmetic: []string{p.needsText(delay), p.bears(p.Free, delay)},
		Numbers: []tcpvet.Number{
			{Name: "needs_ports", Value: float64(need)}, {Name: "reuse_delay_s", Value: delay.Seconds()},
			{Name: "sustainable_per_s", Value: p.most(p.Free, delay)},
		},
	}
	if p.Use.Reused {
		w.Arithmetic = append(w.Arithmetic, "it is on already, as things are")
	}
	w.Arithmetic = append(w.Arithmetic, "whether the peer uses timestamps does not show here")
	if ok && *w.Carries {
		w.Remedies = ReuseTimeWait(c, p.Use.Tuple, enter, p.Use.Usable())
	}
	for i, r := range w.Remedies {
		if set, is := r.(tcpvet.SetSysctl); is && set.Name == "net.ipv4.tcp_tw_reuse" {
			set.Why = "safe for a client, and needs timestamps at both ends" // the sums are above
			w.Remedies[i] = set
		}
	}
	return w
}

// ceil rounds up, but not what only binary fractions put above a whole number.
func ceil(x float64) int { return int(math.Ceil(x - 1e-6)) }

func answer(yes bool) *bool { return &yes }
