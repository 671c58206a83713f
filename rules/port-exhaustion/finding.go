package portexhaustion

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func (s *shortage) finding(c *tcpvet.Census) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: s.severity, Kind: s.kind,
		Subject: tcpvet.Subject{Netns: s.tuple.Netns, Service: s.tuple.Remote, Services: 1, Local: s.tuple.Local},
		Detail:  s.detail(c),
		Numbers: s.numbers(),
	}
	if first := vet.FirstKnown(s.holders); first.Known() {
		f.Subject.Container = c.Processes[first].Container
	}
	for _, h := range s.holders {
		if h.Process.Known() && !h.Former {
			f.Subject.Processes = append(f.Subject.Processes, h.Process)
		}
	}
	between := s.tuple.Local.String() + " to " + s.tuple.Remote.String()
	f.Title = vet.Heading(c, s.tuple.Netns, f.Subject.Container, between, s.headline(c.TupleError))
	if s.likely(c) {
		f.Certainty = tcpvet.Likely
	}
	if s.stamped(c) {
		f.Detail = append(f.Detail, vet.StampsUnsureText)
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.TupleError, "ports")...)
	if s.stateless(c) {
		f.Detail = append(f.Detail, "Whether the kernel would reuse the TIME-WAITs is not known here, so all of them count as taken.")
	}
	if s.unsure {
		f.Detail = append(f.Detail, s.unsureText())
	}
	enter, ok := vet.Enter(c, s.tuple.Netns, vet.FirstKnown(s.holders))
	if ok {
		f.Evidence = s.evidence(c, enter)
	}
	f.Remedies = s.remedies(c, enter, ok)
	return f
}

// unsureText says what the reuse of the TIME-WAITs rests on. The kernel goes by the
// stamp that each has from its connection (tw_ts_recent_stamp in kernel function
// tcp_twsk_unique), which no dump shows.
func (s *shortage) unsureText() string {
	if s.peer {
		return fmt.Sprintf("That the TIME-WAITs are reused needs timestamps at the peer too, which nothing here tells: without them %s.", s.leftWithout())
	}
	return fmt.Sprintf("Timestamps are on now; TIME-WAITs of connections that were opened while net.ipv4.tcp_timestamps was 0 are not reused, and nothing here tells them apart: if all are such, %s.", s.leftWithout())
}

func (s *shortage) leftWithout() string {
	switch n := s.without(); n {
	case 0:
		return "no port is left"
	case 1:
		return "1 port is left"
	default:
		return vet.Count(n) + " ports are left"
	}
}

func (s *shortage) headline(lost uint64) string {
	if s.kind == "reuse-unsure" {
		return "local ports last only if TIME-WAIT is reused"
	}
	if s.Left == 0 {
		return "no local port left"
	}
	return vet.Bound(lost, "at most ") + vet.Percent(s.LeftRatio()) + " of the local ports left"
}

func (s *shortage) detail(c *tcpvet.Census) []string {
	lost := c.TupleError
	first := fmt.Sprintf("%s of %s local ports are taken, %s are left.", vet.AtLeast(lost, s.Taken), vet.Count(s.Usable()), vet.Bound(lost, "at most ")+vet.Count(s.Left))
	if s.Left == 0 {
		first = fmt.Sprintf("%s of %s local ports are taken, none is left: connect() fails with EADDRNOTAVAIL (99) now; another destination still connects, unless the program binds before it connects.",
			vet.AtLeast(lost, s.Taken), vet.Count(s.Usable()))
	}
	first = strings.ToUpper(first[:1]) + first[1:]
	d := []string{first + s.rangeText(c)}
	var states []string
	for _, state := range s.states() {
		states = append(states, fmt.Sprintf("%s %s", vet.AtLeast(lost, s.budget.Taken[state]), state))
	}
	text := "By state: " + strings.Join(states, ", ") + "."
	if len(states) == 0 {
		text = "No connection is in another state than TIME-WAIT."
	}
	if n := s.budget.ReusableTimeWait; n > 0 {
		text += fmt.Sprintf(" "+vet.ReusableText, vet.AtLeast(lost, n))
	}
	d = append(d, text)
	if text := vet.HeldBy(c, s.holders); text != "" {
		d = append(d, text)
	}
	if s.kind == "slow-connects" {
		d = append(d, "Past half of the ports connect() has to search for one: some 300-700 us in place of 10 us.")
	}
	if s.kind == "reuse-unsure" {
		return d
	}
	return append(d, s.cause())
}

// rangeText says where the rest of the range is.
func (s *shortage) rangeText(c *tcpvet.Census) string {
	if s.Reserved == 0 && s.Blocked == 0 {
		return ""
	}
	p := c.Netns[s.tuple.Netns].Ports
	return fmt.Sprintf(" The range %d-%d holds %s; %s of them are reserved and %s kept by bind().",
		p.Low, p.High, vet.Counted(s.Range, "port"), vet.Count(s.Reserved), vet.Count(s.Blocked))
}

// cause says in a sentence what the numbers mean.
func (s *shortage) cause() string {
	switch {
	case s.boundMost():
		return "Most of what is gone is kept by bind(): by listeners in the range, and by sockets that bind before they connect."
	case s.holds(tcpvet.CloseWait, mostly):
		return "CLOSE-WAIT is a leak in the program: a wider range would only delay the end."
	case s.holds(tcpvet.TimeWait, mostly):
		return "Connections are opened and closed faster than TIME-WAIT (60 s) gives their ports back."
	case s.holds(tcpvet.Established, mostly):
		return "The connections are open: too many are wanted at once, or a pool has no bound."
	case s.holds(tcpvet.FinWait2, mostly):
		return "The remote application does not close its side, so the ports stay in FIN-WAIT-2."
	case s.holds(tcpvet.SynSent, mostly):
		return "The connections are still being opened: the remote side does not answer."
	}
	return "No single state holds most of them."
}

func (s *shortage) numbers() []tcpvet.Number {
	taken := tcpvet.Number{Name: "taken_ports", Value: float64(s.Taken)}
	reusable := tcpvet.Number{Name: "reusable_time_wait_ports", Value: float64(s.budget.ReusableTimeWait)}
	if s.kind == "reuse-unsure" {
		taken, reusable = reusable, taken // the first is the size
	}
	n := []tcpvet.Number{
		taken,
		{Name: "range_ports", Value: float64(s.Range)},
		{Name: "reserved_ports", Value: float64(s.Reserved)},
		{Name: "blocked_by_bind_ports", Value: float64(s.Blocked)},
		{Name: "left_ports", Value: float64(s.Left)},
		{Name: "left_ratio", Value: s.LeftRatio()},
		reusable,
	}
	if s.unsure {
		n = append(n, tcpvet.Number{Name: "left_without_reuse_ports", Value: float64(s.without())})
	}
	for _, state := range s.states() {
		word := strings.ReplaceAll(strings.ToLower(state.String()), "-", "_")
		n = append(n, tcpvet.Number{Name: word + "_ports", Value: float64(s.budget.Taken[state])})
	}
	return n
}

func (s *shortage) evidence(c *tcpvet.Census, enter string) []tcpvet.Evidence {
	p := c.Netns[s.tuple.Netns].Ports
	all := vet.Selection{Local: netip.AddrPortFrom(s.tuple.Local, 0), Remote: s.tuple.Remote, Ports: p}
	what := "connections of the tuple, in every state"
	if s.budget.Reserved > 0 {
		what += ", with " + vet.Count(s.budget.Reserved) + " on reserved ports"
	}
	out := []tcpvet.Evidence{
		{What: what, Got: vet.AtLeast(c.TupleError, s.budget.Total()+uint64(s.budget.ReusableTimeWait)), Check: enter + all.Count()},
		vet.PortRangeEvidence(p, enter),
	}
	if states := s.states(); len(states) > 0 && states[0] != tcpvet.TimeWait { // which holds reusable ones as well
		most, one := states[0], all
		one.State = most
		out = append(out, tcpvet.Evidence{What: "of these in " + most.String(), Got: vet.AtLeast(c.TupleError, s.budget.Taken[most]), Check: enter + one.Count()})
	}
	return out
}
