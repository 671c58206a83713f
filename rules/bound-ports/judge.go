package boundports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// hold is what bind() keeps of the port range of a namespace.
type hold struct {
	ns        tcpvet.NetnsID
	ports     *tcpvet.Ports
	usable    int // of the range, not reserved
	bound     int // of these, kept by sockets that are merely bound
	listening int // and by listeners
	sockets   uint64
	holders   []vet.Share // of sockets, the most first
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	var findings []tcpvet.Finding
	for ns := range c.Now.Bound {
		h, ok := keeps(&c.Now, ns)
		if !ok || h.part() < much {
			continue
		}
		h.blame(&c.Now)
		findings = append(findings, h.finding(&c.Now, c.Before))
	}
	return findings
}

// keeps counts the ports; ok is false where the range is not known.
func keeps(c *tcpvet.Census, ns tcpvet.NetnsID) (h hold, ok bool) {
	ports := c.Netns[ns].Ports
	if ports == nil || c.Bound[ns] == nil {
		return h, false
	}
	h = hold{ns: ns, ports: ports, usable: ports.Size() - ports.ReservedInside()}
	var listening tcpvet.PortSet
	for l := range c.Listeners {
		if l.Netns == ns {
			listening.Add(l.Local.Port(), l.Local.Port())
		}
	}
	for low, high := range c.Bound[ns].Spans {
		for port := int(max(low, ports.Low)); port <= int(min(high, ports.High)); port++ {
			switch p := uint16(port); {
			case ports.Reserved.Has(p):
			case listening.Has(p):
				h.listening++
			default:
				h.bound++
			}
		}
	}
	return h, h.usable > 0
}

func (h *hold) part() float64 { return float64(h.bound) / float64(h.usable) }

// left is what the kernel may choose from for a new destination.
func (h *hold) left() int { return h.usable - h.bound - h.listening }

// blame finds who has the sockets. Some may be bound outside of the range.
func (h *hold) blame(c *tcpvet.Census) {
	held := make(map[tcpvet.Process]uint64)
	for g, t := range c.Groups {
		if n := uint64(t.States[tcpvet.BoundInactive]); g.Netns == h.ns && n > 0 {
			held[g.Holder] += n
			h.sockets += n
		}
	}
	for p, n := range held {
		h.holders = append(h.holders, vet.Share{Process: p, Count: n})
	}
	slices.SortFunc(h.holders, func(a, b vet.Share) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Process.PID, b.Process.PID), cmp.Compare(a.Process.Start, b.Process.Start))
	})
}

// first is the process that holds most, Nobody where none is known.
func (h *hold) first() tcpvet.Process {
	for _, s := range h.holders {
		if s.Process.Known() {
			return s.Process
		}
	}
	return tcpvet.Nobody
}

func (h *hold) finding(c, before *tcpvet.Census) tcpvet.Finding {
	first := h.first()
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Warning,
		Subject: tcpvet.Subject{Netns: h.ns},
		Numbers: []tcpvet.Number{
			{Name: "bound_ports", Value: float64(h.bound)},
			{Name: "usable_ports", Value: float64(h.usable)},
			{Name: "bound_ratio", Value: h.part()},
			{Name: "listening_ports", Value: float64(h.listening)},
			{Name: "left_ports", Value: float64(h.left())},
			{Name: "bound_sockets", Value: float64(h.sockets)},
		},
		Remedies: h.remedies(),
	}
	if h.part() >= most {
		f.Severity = tcpvet.Critical
	}
	who := ""
	for _, s := range h.holders {
		if s.Process.Known() {
			f.Subject.Processes = append(f.Subject.Processes, s.Process)
		}
	}
	if len(h.holders) == 1 {
		who, f.Subject.Container = vet.OwnerText(c, h.holders[0].Process), c.Processes[first].Container
	}
	f.Title = vet.Heading(c, h.ns, f.Subject.Container, who, "bind() keeps "+vet.Percent(h.part())+" of the local ports")
	f.Detail = h.detail(c)
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if before != nil {
		if was, ok := keeps(before, h.ns); ok && h.bound > was.bound {
			apart := c.Taken.Sub(before.Taken)
			f.Detail = append(f.Detail, fmt.Sprintf("%s more than %s before.", vet.Counted(h.bound-was.bound, "port"), vet.Duration(apart)))
			f.Numbers = append(f.Numbers, tcpvet.Number{Name: "more_bound_ports", Value: float64(h.bound - was.bound)})
		}
	}
	if enter, ok := vet.Enter(c, h.ns, first); ok {
		f.Evidence = append(f.Evidence, vet.PortRangeEvidence(h.ports, enter))
	}
	if info := c.Processes[first]; info.Sockets > 0 && !info.LeaderExited {
		f.Evidence = append(f.Evidence, tcpvet.Evidence{
			What: "descriptors of " + vet.ProcessText(c, first) + " that are sockets, bound ones among them", Got: vet.Count(info.Sockets),
			Check: fmt.Sprintf("ls -l /proc/%d/fd | grep -c socket:", first.PID),
		})
	}
	return f
}

func (h *hold) detail(c *tcpvet.Census) []string {
	d := []string{fmt.Sprintf("%s of the %s are bound and neither listen nor are connected: no connect() that leaves the choice to the kernel gets one of them, to whatever destination.",
		vet.Count(h.bound), vet.Counted(h.usable, "usable local port"))}
	left := vet.Count(h.left()) + " are left for each destination"
	if h.left() == 0 {
		left = "None is left: connect() fails with EADDRNOTAVAIL (99), bind() with port 0 with EADDRINUSE (98)"
	}
	if h.listening > 0 {
		left += fmt.Sprintf("; listeners keep %s", vet.Counted(h.listening, "more port"))
	}
	d = append(d, left+".")
	if text := h.holderText(c); text != "" {
		d = append(d, text)
	}
	return append(d, "ss of iproute2 6.1 and /proc/net/tcp do not list what is merely bound.")
}

func (h *hold) holderText(c *tcpvet.Census) string {
	if len(h.holders) == 0 || !c.Facts.Has(tcpvet.FactHolders) {
		return ""
	}
	shown, rest := vet.Cut(h.holders, named)
	var names []string
	for _, s := range shown {
		names = append(names, fmt.Sprintf("%s (%s)", vet.OwnerText(c, s.Process), vet.AtLeastCounted(c.GroupError, s.Count, "socket")))
	}
	if len(rest) > 0 {
		names = append(names, vet.Counted(len(rest), "other"))
	}
	return "Held by " + strings.Join(names, "; ") + "."
}

func (h *hold) remedies() []tcpvet.Remedy {
	return []tcpvet.Remedy{
		tcpvet.Advise{Code: true, Text: "set IP_BIND_ADDRESS_NO_PORT where a source address is bound before connect(), or do not bind at all", Run: "tcpvet explain ports"},
		tcpvet.Advise{Code: true, Text: "close a socket whose connect() failed or is not wanted any more: it stays bound"},
		tcpvet.Advise{Text: "take fixed source ports from outside of the range, or reserve them", Run: "tcpvet explain ip_local_reserved_ports"},
	}
}
