package halfopen

import (
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func (p pile) finding(c *tcpvet.Census) tcpvet.Finding {
	f := p.Finding(c, name)
	s, n := p.Stalled, c.Netns[p.Netns]
	size, timer := "unacknowledged_sockets", "on"
	waiting := func(t *tcpvet.Tally) uint32 {
		if t.Stalled == nil {
			return 0
		}
		return t.Stalled.Resent[tcpvet.Established]
	}
	if p.Kind == keepalive {
		size, timer = "probed_sockets", "keepalive"
		waiting = func(t *tcpvet.Tally) uint32 {
			if t.Stalled == nil {
				return 0
			}
			return t.Stalled.Probed
		}
	}
	f.Numbers = []tcpvet.Number{
		{Name: size, Value: float64(p.Count)},
		{Name: "established_sockets", Value: float64(p.States[tcpvet.Established])},
	}
	e := p.end(&n)
	if p.Kind == keepalive {
		f.Detail = p.probed(c, &n, e)
		f.Remedies = probedRemedies()
	} else {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "silent_limit_s", Value: s.Silent.Edge(p.limit).Seconds()})
		f.Detail = p.unacknowledged(c, &n, e)
		f.Remedies = remedies()
		if enter, ok := p.Enter(c); ok && p.Piles == 1 && p.Holder.Known() {
			f.Remedies = append(f.Remedies, p.userTimeout(vet.NetnsFlag(enter)))
		}
	}
	if l := p.longest(); l != nil {
		f.Numbers = append(f.Numbers,
			tcpvet.Number{Name: "longest_silent_s", Value: l.Age.Low.Seconds()},
			tcpvet.Number{Name: "longest_retransmits", Value: float64(l.Timer.Retransmits)})
	}
	if e.known {
		f.Numbers = append(f.Numbers,
			tcpvet.Number{Name: "ends_in_low_s", Value: e.low.Seconds()},
			tcpvet.Number{Name: "ends_in_high_s", Value: e.high.Seconds()})
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if enter, ok := p.Enter(c); ok {
		list := vet.Selection{State: tcpvet.Established}
		if p.Piles == 1 {
			list = p.Selection(tcpvet.Established)
		}
		what := "connections in ESTAB there with data sent again"
		if p.Kind == keepalive {
			what = "connections in ESTAB there with a keepalive probe unanswered"
		}
		f.Evidence = []tcpvet.Evidence{{
			What: what + vet.OfEveryProcess(c), Got: vet.AtLeast(c.GroupError, p.EveryProcess(c, waiting)),
			Check: enter + "ss -Htno state established" + spaced(vet.ShellFilter(list.Filter())) + " | grep -c 'timer:(" + timer + ",[^,]*,[1-9]'",
		}}
	}
	return f
}

func spaced(filter string) string {
	if filter == "" {
		return ""
	}
	return " " + filter
}

// longest is the one whose peer has been silent for longest, nil where none tells.
func (p *pile) longest() *tcpvet.Stall {
	if p.Kind == keepalive {
		return p.Stalled.LongestProbed
	}
	return p.Stalled.Longest
}

// ending is when the kernel gives up the one that has waited for longest.
type ending struct {
	low, high time.Duration // from now
	after     time.Duration // from the first retransmission
	known     bool
}

func (p *pile) end(n *tcpvet.Netns) ending {
	l := p.longest()
	if l == nil {
		return ending{}
	}
	if p.Kind == keepalive {
		every, ok1 := n.SysctlInt("net.ipv4.tcp_keepalive_intvl")
		probes, ok2 := n.SysctlInt("net.ipv4.tcp_keepalive_probes")
		if !ok1 || !ok2 {
			return ending{}
		}
		d := l.Timer.Expires + time.Duration(max(probes-int64(l.Timer.Retransmits), 0)*every)*time.Second
		return ending{low: d, high: d, known: true}
	}
	after, ok := vet.DataGivesUp(n)
	if !ok {
		return ending{}
	}
	// The first retransmission came after the last segment of the peer, and
	// before those that followed it with doubling pauses.
	rto := vet.LongestRTO(n)
	since, pause := time.Duration(0), 200*time.Millisecond // TCP_RTO_MIN
	for range l.Timer.Retransmits - 1 {
		since += pause
		pause = min(2*pause, rto)
	}
	return ending{
		low:   max(after-l.Age.Low, l.Timer.Expires),
		high:  max(after-min(since, l.Age.Low), l.Timer.Expires) + vet.Late(rto),
		after: after, known: true,
	}
}

func (p *pile) unacknowledged(c *tcpvet.Census, n *tcpvet.Netns, e ending) []string {
	verb, each := "wait", "each"
	if p.Count == 1 {
		verb, each = "waits", "it"
	}
	limit := ""
	if p.Stalled.Silent.Total() > 0 {
		limit = ", and its peer has been silent for at least " + vet.Duration(p.limit)
	}
	d := []string{fmt.Sprintf("%s %s for a peer that does not answer: %s has sent data again at least twice%s.",
		capital(vet.AtLeastCounted(c.GroupError, p.Count, "connection")), verb, each, limit)}
	if p.Piles > 1 {
		d[0] = fmt.Sprintf("Besides the largest, which are named, %s in %s %s for peers that do not answer.",
			vet.AtLeastCounted(c.GroupError, p.Count, "connection"), vet.Counted(p.Piles, "pile-up"), verb)
	}
	if l := p.longest(); l != nil {
		d = append(d, fmt.Sprintf("The longest has heard nothing for %s, and has sent its data again %s.%s",
			vet.Duration(l.Age.Low), vet.Times(int(l.Timer.Retransmits)), queued(l.Queued)))
	}
	if e.known {
		retries, _ := n.SysctlInt("net.ipv4.tcp_retries2")
		d = append(d, fmt.Sprintf("The kernel ends that one with ETIMEDOUT between %s and %s from now, unless its TCP_USER_TIMEOUT does so before: tcp_retries2 = %d is %.1f s after the first retransmission, and then the next one has to be due.",
			vet.Duration(e.low), vet.Duration(e.high), retries, e.after.Seconds()))
	} else {
		d = append(d, "The kernel ends each after tcp_retries2, some 15 min by default, or after its TCP_USER_TIMEOUT.")
	}
	d = append(d, "Until then write() succeeds and read() waits.")
	if p.Severity == tcpvet.Warning {
		return append(d, "So many at once have a cause in common: the service's host is gone, or a firewall, NAT or balancer on the way has forgotten them.")
	}
	return append(d, "The peer's host is gone, or something on the way drops what is sent; a very lossy path looks the same.")
}

func (p *pile) probed(c *tcpvet.Census, n *tcpvet.Netns, e ending) []string {
	verb := "have"
	if p.Count == 1 {
		verb = "has"
	}
	d := []string{fmt.Sprintf("%s %s at least two keepalive probes on the way that nobody has answered.", capital(vet.AtLeastCounted(c.GroupError, p.Count, "connection")), verb)}
	if p.Piles > 1 {
		d[0] = fmt.Sprintf("Besides the largest, which are named, %s in %s %s at least two keepalive probes unanswered.",
			vet.AtLeastCounted(c.GroupError, p.Count, "connection"), vet.Counted(p.Piles, "pile-up"), verb)
	}
	if l := p.longest(); l != nil {
		d = append(d, fmt.Sprintf("The longest has heard nothing for %s, and has sent %s in vain.", vet.Duration(l.Age.Low), vet.Counted(int(l.Timer.Retransmits), "probe")))
	}
	if e.known {
		every, _ := n.SysctlInt("net.ipv4.tcp_keepalive_intvl")
		probes, _ := n.SysctlInt("net.ipv4.tcp_keepalive_probes")
		d = append(d, fmt.Sprintf("By the defaults here the kernel ends it in %s: %d probes, %d s apart. The program may have set its own (TCP_KEEPCNT, TCP_KEEPINTVL, TCP_USER_TIMEOUT), which do not show.",
			vet.Duration(e.low), probes, every))
	}
	return append(d, "Keepalive does its work here: it ends them, and gives ETIMEDOUT to the program.")
}

func queued(n uint32) string {
	switch n {
	case 0:
		return ""
	case 1:
		return " 1 byte is not acknowledged."
	}
	return fmt.Sprintf(" %s are not acknowledged.", vet.Counted(n, "byte"))
}

func capital(s string) string {
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

func remedies() []tcpvet.Remedy {
	return []tcpvet.Remedy{
		tcpvet.Advise{Code: true, Run: "tcpvet explain TCP_USER_TIMEOUT",
			Text: "set TCP_USER_TIMEOUT, 30 s say, so that data which is not acknowledged for so long ends the connection"},
		tcpvet.Advise{Code: true, Run: "tcpvet explain keepalive",
			Text: "set SO_KEEPALIVE with TCP_KEEPIDLE and TCP_KEEPINTVL below the idle limit of the path, so that nothing on the way forgets an idle connection"},
		tcpvet.Advise{Run: "tcpvet explain half-open",
			Text: "see whether the peer's host is up, and what has restarted or failed over on the way to it"},
	}
}

// userTimeout ends them from outside: the kernel asks for it when the next
// retransmission is due (kernel function tcp_write_timeout).
func (p *pile) userTimeout(netnsFlag string) tcpvet.Remedy {
	const timeout = 30 * time.Second
	filter := p.Selection(tcpvet.Established).Filter()
	return tcpvet.SetKeepalive{
		Select: vet.Narrow(netnsFlag, p.Holder, "--user-timeout "+vet.ShellDuration(timeout),
			vet.ShellFilter("state established timer on retrans ge 2 "+filter)),
		Why: "gives these from outside a user timeout of " + vet.Duration(timeout) + " and keepalive: one that has waited for so long ends when its next retransmission is due; shows a plan, and needs root to apply it",
	}
}

func probedRemedies() []tcpvet.Remedy {
	return []tcpvet.Remedy{
		tcpvet.Advise{Run: "tcpvet explain half-open",
			Text: "see whether the peer's host is up, and what has restarted or failed over on the way to it"},
		tcpvet.Advise{Code: true, Run: "tcpvet explain keepalive",
			Text: "if something on the way forgets idle connections, set TCP_KEEPIDLE and TCP_KEEPINTVL below its limit"},
	}
}
