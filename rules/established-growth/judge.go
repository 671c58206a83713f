package establishedgrowth

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// swelling is what one process has in ESTAB toward one service, more than before.
type swelling struct {
	vet.Holding
	before, now uint64
	grown       uint64        // surely: what the earlier look may have lacked is taken off
	idle        uint64        // surely not used between the looks
	edge        time.Duration // idle ones were so for at least that long
	over        time.Duration // the time between the looks, 0 where that is not known
}

// perSecond is 0 where the time between the looks is not known.
func (s *swelling) perSecond() float64 {
	if s.over == 0 {
		return 0
	}
	return float64(s.grown) / s.over.Seconds()
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	over, unused := c.Now.Taken.Sub(c.Before.Taken), c.Patience
	switch {
	case c.Now.Taken.IsZero() || c.Before.Taken.IsZero():
		over = 0 // pasted text does not tell
	case over <= 0:
		return nil
	default:
		unused = over
	}
	before := make(map[vet.Held]uint64)
	for g, t := range c.Before.Groups {
		before[vet.Held{Netns: g.Netns, Holder: g.Holder, Role: g.Role, Service: g.Service}] += uint64(t.States[tcpvet.Established])
	}
	held := vet.Holdings(&c.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		return !g.Folded() && g.Holder != tcpvet.Nobody && t.States[tcpvet.Established] > 0
	})
	var findings []tcpvet.Finding
	all := make(map[vet.Held]uint64) // what ss can count: of every process
	for g, t := range c.Now.Groups {
		all[vet.Held{Netns: g.Netns, Role: g.Role, Service: g.Service}] += uint64(t.States[tcpvet.Established])
	}
	for _, h := range held {
		s := swelling{Holding: h, before: before[h.Held], now: uint64(h.States[tcpvet.Established]), over: over}
		surely := s.before + c.Before.GroupError*uint64(len(h.Locals))
		if s.before < base || s.now < surely+more || float64(s.now-surely) < rise*float64(surely) || h.Idle == nil {
			continue
		}
		s.grown = s.now - surely
		s.idle = h.Idle.KeepaliveOn.AtLeast(unused) + h.Idle.KeepaliveOff.AtLeast(unused) + h.Idle.Unknown.AtLeast(unused)
		s.edge = h.Idle.KeepaliveOn.Edge(unused)
		if float64(s.idle) >= lazy*float64(s.before) {
			findings = append(findings, s.finding(&c, all[vet.Held{Netns: h.Netns, Role: h.Role, Service: h.Service}]))
		}
	}
	return findings
}

func (s *swelling) finding(c *tcpvet.Case, all uint64) tcpvet.Finding {
	now := &c.Now
	info := now.Processes[s.Holder]
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Certainty: tcpvet.Likely, Kind: "server",
		Subject: tcpvet.Subject{Netns: s.Netns, Container: info.Container, Service: s.Service, Services: 1, Local: s.Local()},
		Numbers: []tcpvet.Number{
			{Name: "grown_sockets", Value: float64(s.grown)},
			{Name: "established_sockets", Value: float64(s.now)},
			{Name: "before_sockets", Value: float64(s.before)},
			{Name: "idle_sockets", Value: float64(s.idle)},
		},
	}
	about, selection := "on "+s.Service.String(), vet.Selection{State: tcpvet.Established, Local: s.Service}
	if s.Role == tcpvet.Client {
		f.Kind, about, selection = "client", "to "+s.Service.String(), vet.Selection{State: tcpvet.Established, Remote: s.Service}
	}
	if s.Holder.Known() {
		f.Subject.Processes = append([]tcpvet.Process{s.Holder}, s.SharedWith()...)
	}
	f.Title = vet.Heading(now, s.Netns, info.Container, vet.OwnerText(now, s.Holder), about)
	lost := now.GroupError + c.Before.GroupError
	since := "at the look before"
	if s.over > 0 {
		since = fmt.Sprintf("%s ago (%s)", vet.Duration(s.over), vet.PerSecond(s.perSecond()))
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "growth_per_s", Value: s.perSecond()})
	}
	f.Detail = []string{
		fmt.Sprintf("%s in ESTAB, %s more than %s. %s have lain idle for at least %s.",
			vet.AtLeastCounted(now.GroupError, s.now, "connection"), vet.AtLeast(lost, s.grown), since, vet.AtLeast(now.GroupError, s.idle), vet.Duration(s.edge)),
		"A pool that fills up to its bound looks the same in two looks: it stops, a leak does not.",
	}
	if s.grown >= many && s.pressing(now) {
		f.Severity = tcpvet.Warning
	}
	if s.over > 0 {
		s.ends(c, &f)
	}
	f.Numbers = append(f.Numbers, vet.MayLack(lost, "sockets")...)
	if enter, ok := vet.Enter(now, s.Netns, s.Holder); ok {
		f.Evidence = []tcpvet.Evidence{{
			What: "connections in ESTAB there" + vet.OfEveryProcess(now), Got: vet.AtLeast(now.GroupError, all), Check: enter + selection.Count(),
		}}
	}
	f.Remedies = []tcpvet.Remedy{
		codeAdvice(f.Kind, info),
		tcpvet.Advise{Text: "look for longer: growth that goes on is a leak", Run: "tcpvet diagnose --interval 1m"},
	}
	return f
}

// pressing tells that growth is cause for alarm: at a client, whose own pool it is; at
// a server, which others open connections to and which may have been told to keep
// them, once it has used half of its descriptors.
func (s *swelling) pressing(c *tcpvet.Census) bool {
	info := c.Processes[s.Holder]
	return s.Role == tcpvet.Client || info.DescriptorLimit > 0 && float64(info.Descriptors) >= used*float64(info.DescriptorLimit)
}

// ends says when ports and descriptors are used up at this rate.
func (s *swelling) ends(c *tcpvet.Case, f *tcpvet.Finding) {
	const sight = 365 * vet.Day
	end := func(left uint64, rate float64, number, text string) {
		seconds := float64(left) / rate
		if seconds > sight.Seconds() {
			return
		}
		d := time.Duration(seconds * float64(time.Second))
		if d < soon && s.pressing(&c.Now) {
			f.Severity = tcpvet.Warning
		}
		f.Detail = append(f.Detail, fmt.Sprintf("At %s the %s "+text+".", vet.PerSecond(rate), vet.Count(left), vet.About(d)))
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: number, Value: d.Round(time.Second).Seconds()})
	}
	if local := s.Local(); s.Role == tcpvet.Client && local.IsValid() {
		for _, u := range vet.TupleUses(&c.Now, tcpvet.Tuple{Netns: s.Netns, Local: local, Remote: s.Service}) {
			end(uint64(u.Left), s.perSecond(), "ports_exhausted_in_s", "local ports that are left to that service last %s; then connect() fails with EADDRNOTAVAIL (99)")
		}
	}
	now, before := c.Now.Processes[s.Holder], c.Before.Processes[s.Holder]
	if now.DescriptorLimit == 0 || now.Descriptors == 0 {
		return
	}
	rate := s.perSecond()
	if before.Descriptors > 0 && now.Descriptors > before.Descriptors { // other descriptors may grow in number too
		rate = max(rate, float64(now.Descriptors-before.Descriptors)/s.over.Seconds())
	}
	end(now.DescriptorLimit-min(now.Descriptors, now.DescriptorLimit), rate,
		"descriptors_exhausted_in_s", "descriptors that the process has left last %s; then it fails with EMFILE (24)")
}

func codeAdvice(kind string, info tcpvet.ProcessInfo) tcpvet.Remedy {
	if kind == "client" {
		return tcpvet.Advise{Code: true, Text: "use one client with a bounded pool for the whole program, and give each connection back on every path", Run: vet.FixTopic(info)}
	}
	if vet.Language(info) == "nginx" {
		return tcpvet.Advise{Code: true, Text: "lower keepalive_timeout, so that idle clients are sent away", Run: vet.FixTopic(info)}
	}
	return tcpvet.Advise{Code: true, Text: "give the server an idle limit, so that clients that do nothing are sent away", Run: "tcpvet explain established-growth"}
}
