package unreaddata

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// queue is what the tally of a kind says, whichever it is.
type queue struct {
	ages      *tcpvet.Histogram
	sockets   uint32
	bytes     uint64
	longest   *tcpvet.Exemplar
	longestOf uint32
}

func (h *heap) queue() queue {
	q := h.Queued
	if h.kind == unread {
		return queue{&q.Unread, q.Sockets, q.Bytes, q.LongestUnread, q.LongestUnreadOf}
	}
	return queue{&q.Blocked, q.BlockedSockets, q.BlockedBytes, q.LongestBlocked, q.LongestBlockedOf}
}

func (j *judgement) finding(h *heap) tcpvet.Finding {
	c, q := &j.Now, h.queue()
	f := tcpvet.Finding{
		Rule: name, Severity: h.severity, Kind: h.kind,
		Detail: j.detail(h, q),
		Numbers: []tcpvet.Number{
			{Name: h.kind + "_sockets", Value: float64(h.Count)},
			{Name: "waiting_limit_s", Value: q.ages.Edge(j.Patience).Seconds()},
			{Name: "with_data_sockets", Value: float64(q.sockets)},
			{Name: h.kind + "_bytes", Value: float64(q.bytes)},
		},
		Evidence: j.evidence(h),
		Remedies: j.remedies(h),
	}
	if q.longest != nil {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "longest_s", Value: q.longest.Age.Low.Seconds()},
			tcpvet.Number{Name: "longest_bytes", Value: float64(q.longestOf)})
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "sockets")...)
	if h.unsure || j.mayBeUnaccepted(h) {
		f.Certainty = tcpvet.Likely
	}
	if h.processes > 1 {
		f.Subject = tcpvet.Subject{Netns: h.Netns, Services: max(len(h.Services), 2)}
		f.Title = vet.Heading(c, h.Netns, nil, "", vet.AtLeast(c.GroupError, h.processes)+" more processes")
		return f
	}
	f.Subject = h.Subject(c)
	who := vet.ProgramText(c, h.Holder)
	switch {
	case h.Role == tcpvet.Client && h.kind == unread:
		who = vet.OwnerText(c, h.Holder)
	case h.Holder == tcpvet.Nobody && c.Facts.Has(tcpvet.FactHolders):
		who = "" // closed with data unsent
	}
	f.Title = vet.Heading(c, h.Netns, c.Processes[h.Holder].Container, who, h.About())
	return f
}

func (j *judgement) detail(h *heap, q queue) []string {
	c := &j.Now
	many := vet.AtLeastCounted(c.GroupError, h.Count, "connection")
	verb, them, they := "have", "them", "They hold"
	if h.Count == 1 {
		verb, them, they = "has", "it", "It holds"
	}
	if h.processes > 1 {
		many = fmt.Sprintf("Besides the largest, which are named, %s of %s", many, vet.Count(h.processes)+" more processes")
	}
	limit := vet.Duration(q.ages.Edge(j.Patience))
	first, ago := fmt.Sprintf("%s %s data in Recv-Q that nobody has read, and for at least %s no data went either way", many, verb, limit), "for %s"
	if h.kind == blocked {
		first, ago = fmt.Sprintf("%s %s data to send, and the other end has no room for it (its window is 0): the last went out at least %s ago", many, verb, limit), "%s ago"
	}
	if q.longest != nil && h.Count > 1 {
		first += fmt.Sprintf("; the longest "+ago+" (%s)", vet.Duration(q.longest.Age.Low), vet.Counted(q.longestOf, "byte"))
	}
	d := []string{first + "."}
	if h.processes == 1 {
		if most := h.Most(c); most != "" {
			d = append(d, most)
		}
	}
	bytes := vet.AtLeastCounted(c.GroupError, q.bytes, "byte")
	switch {
	case uint64(q.sockets) == h.Count:
		d = append(d, they+" "+bytes+".")
	case h.kind == unread:
		d = append(d, fmt.Sprintf("Together with those that came later, %s wait in %s.", bytes, vet.AtLeastCounted(c.GroupError, q.sockets, "connection")))
	default:
		d = append(d, fmt.Sprintf("Together with those that wait for less long, %s wait in %s.", bytes, vet.AtLeastCounted(c.GroupError, q.sockets, "connection")))
	}
	if h.kind == unread {
		if j.mayBeUnaccepted(h) {
			d = append(d, "Some may be connections that no process has accepted yet: this input does not tell.")
		}
		why := "The process is blocked, was stopped, or has forgotten "
		if h.processes > 1 {
			why = "Each process is blocked, was stopped, or has forgotten "
		}
		return append(d, why+them+". When a queue is full the kernel announces a window of 0, and the peer's writes stop.")
	}
	if h.Holder == tcpvet.Nobody && c.Facts.Has(tcpvet.FactHolders) && h.processes == 1 {
		d = append(d, "Their process has closed "+them+" with data unsent: the kernel goes on for some minutes, then it gives up (tcp_orphan_retries).")
	}
	if h.reader.count > 0 && h.processes == 1 {
		return append(d, fmt.Sprintf("The other end is on this host: %s has data unread in %s.", h.reader.text(c), vet.AtLeastCounted(c.GroupError, h.reader.count, "connection")))
	}
	return append(d, "The remote application does not read. While its host answers the window probes the kernel keeps these connections, for good.")
}

func (r reader) text(c *tcpvet.Census) string {
	if r.holder == tcpvet.Nobody && c.Facts.Has(tcpvet.FactHolders) {
		return "a listener that has not accepted them"
	}
	return vet.OwnerText(c, r.holder)
}

// evidence counts by ss, which knows neither processes nor ages.
func (j *judgement) evidence(h *heap) []tcpvet.Evidence {
	c := &j.Now
	enter, ok := vet.Enter(c, h.Netns, h.Holder)
	if !ok {
		return nil
	}
	sel := vet.Selection{Remote: h.Service}
	if h.Role != tcpvet.Client {
		sel = vet.Selection{Local: h.Service}
	}
	where, n := "there", vet.AtLeast(c.GroupError, j.counts[h.kind][vet.Side{Netns: h.Netns, Role: h.Role, Service: h.Service}])
	if !h.Service.IsValid() || h.processes > 1 {
		// The sum over a namespace holds what was folded too.
		where, n, sel = "in this namespace", vet.Count(j.totals[h.kind][h.Netns]), vet.Selection{}
	}
	e := tcpvet.Evidence{Got: n}
	if h.kind == unread {
		sel.State = tcpvet.Established
		e.What = "connections in ESTAB with data in Recv-Q " + where
		e.Check = enter + sel.List() + " | awk '$1 > 0' | wc -l"
	} else {
		e.What = "connections whose peer's window is probed " + where
		e.Check = enter + "ss -Htno"
		if filter := sel.Filter(); filter != "" {
			e.Check += " " + vet.ShellFilter(filter)
		}
		e.Check += " | grep -c '(persist,'"
	}
	e.What += vet.OfEveryProcess(c)
	return []tcpvet.Evidence{e}
}

func (j *judgement) remedies(h *heap) []tcpvet.Remedy {
	c := &j.Now
	if h.kind == unread {
		out := []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: "read these connections to the end, or close them: find what keeps the reader away, such as a lock or a full queue behind it", Run: "tcpvet explain unread-data"}}
		if p := h.Holder; p.Known() && h.processes == 1 && !c.Processes[p].LeaderExited {
			out = append(out, tcpvet.Advise{
				Text: "T in this line is a process that was stopped: kill -CONT lets it go on, unless a debugger has it", Run: fmt.Sprintf("grep ^State /proc/%d/status", p.PID),
			})
		}
		return out
	}
	limit := tcpvet.Advise{Code: true, Text: "give writes a time limit: a timeout of the library, or TCP_USER_TIMEOUT, which ends a connection whose window stays shut", Run: "tcpvet explain unread-data"}
	if h.reader.count > 0 && h.processes == 1 {
		return []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: "correct the program at the other end, " + h.reader.text(c) + ", which does not read", Run: "tcpvet explain unread-data"}, limit}
	}
	return []tcpvet.Remedy{tcpvet.Advise{Text: "run tcpvet diagnose on the remote host: it names the process that does not read"}, limit}
}
