package acceptqueuefull

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

const overflows = "TcpExtListenOverflows"

func judge(c tcpvet.Case) []tcpvet.Finding {
	over := vet.Risen(&c, overflows)
	var findings []tcpvet.Finding
	blamed := make(map[tcpvet.NetnsID]bool)
	for l, q := range c.Now.Listeners {
		if q.Known.Has(tcpvet.FactBacklog|tcpvet.FactBacklogMax) && q.Fullest.Length > 0 && q.Fullest.Length >= q.Fullest.Limit {
			findings = append(findings, full(&c.Now, l, q, over[l.Netns]))
			blamed[l.Netns] = true
		}
	}
	for id, o := range over {
		if !blamed[id] {
			findings = append(findings, dropped(&c.Now, id, o))
		}
	}
	return findings
}

// full is the finding of one listener.
func full(c *tcpvet.Census, l tcpvet.Listener, q *tcpvet.Queue, over vet.Rise) tcpvet.Finding {
	info := c.Processes[q.Holder]
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Critical, Kind: "full",
		Subject: tcpvet.Subject{Netns: l.Netns, Container: info.Container, Service: l.Local, Services: 1, Local: l.Local.Addr()},
		Numbers: []tcpvet.Number{
			{Name: "queued_connections", Value: float64(q.Length)},
			{Name: "limit_connections", Value: float64(q.Limit)},
			{Name: "fullest_queued_connections", Value: float64(q.Fullest.Length)},
			{Name: "fullest_limit_connections", Value: float64(q.Fullest.Limit)},
			{Name: "listening_sockets", Value: float64(q.Members)},
		},
	}
	first := fmt.Sprintf("%s in the accept queue, whose limit is %s: new connections are dropped, and clients see timeouts, not refusals.", waiting(q.Fullest.Length), vet.Count(q.Fullest.Limit))
	if q.Fullest.Length == q.Fullest.Limit {
		f.Severity, f.Kind = tcpvet.Warning, "at-limit"
		first = fmt.Sprintf("%s in the accept queue, which is its limit: one more fits, then clients see timeouts.", waiting(q.Fullest.Length))
	}
	f.Detail = []string{first}
	if q.Members > 1 {
		f.Detail = append(f.Detail, fmt.Sprintf("That is the fullest of %s that share the port by SO_REUSEPORT: together %s of %s.",
			vet.Counted(q.Members, "listener"), vet.Count(q.Length), vet.Count(q.Limit)))
	}
	f.Detail = append(f.Detail, whose(c, q))
	who := ""
	if q.Holder != tcpvet.Nobody {
		who = vet.OwnerText(c, q.Holder)
	}
	if q.Holder.Known() {
		f.Subject.Processes = append([]tcpvet.Process{q.Holder}, q.SharedWith...)
	}
	f.Title = vet.Heading(c, l.Netns, info.Container, who, "listens on "+l.Local.String())
	if enter, ok := vet.Enter(c, l.Netns, q.Holder); ok {
		filter := vet.ShellFilter(vet.Selection{Local: l.Local}.Filter())
		f.Evidence = append(f.Evidence, tcpvet.Evidence{
			What: "connections in the accept queue", Got: vet.Count(q.Length),
			Check: enter + "ss -Htln " + filter + " | awk '{n += $2} END {print n}'",
		})
	}
	addOverflow(c, &f, over)
	_, out := outOfDescriptors(c, q)
	f.Remedies = []tcpvet.Remedy{acceptAdvice(out), tcpvet.Advise{
		Text: "where only bursts fill it, ask for more in listen(), with net.core.somaxconn not below that", Run: "tcpvet explain somaxconn",
	}}
	return f
}

func waiting(n uint64) string {
	if n == 1 {
		return "1 connection waits"
	}
	return vet.Count(n) + " connections wait"
}

// whose says who does not accept, and why as far as that shows.
func whose(c *tcpvet.Census, q *tcpvet.Queue) string {
	p := q.Holder
	if out, ok := outOfDescriptors(c, q); ok {
		return fmt.Sprintf("%s has used all of its %s descriptors: accept() fails with EMFILE (24).", vet.ProcessText(c, out), vet.Count(c.Processes[out].DescriptorLimit))
	}
	switch {
	case p.Known() && len(q.SharedWith) > 0:
		return fmt.Sprintf("%s and %s are to accept here, and do not often enough: blocked, or busy.",
			vet.ProcessText(c, p), others(c, q.SharedWith))
	case p.Known():
		return vet.ProcessText(c, p) + " does not call accept() often enough: it is blocked, or all of its workers are busy."
	case p == tcpvet.Unseen:
		return "The process that listens could not be seen."
	}
	return "This input does not say which process listens."
}

// others names the processes that share a listener, or counts them.
func others(c *tcpvet.Census, ps []tcpvet.Process) string {
	if len(ps) == 1 {
		return vet.ProcessText(c, ps[0])
	}
	return vet.Count(len(ps)) + " others"
}

// outOfDescriptors finds a process that has the listener and no descriptor left
// for what it would accept: a worker that came later accepts too.
func outOfDescriptors(c *tcpvet.Census, q *tcpvet.Queue) (tcpvet.Process, bool) {
	for _, p := range append([]tcpvet.Process{q.Holder}, q.SharedWith...) {
		if info := c.Processes[p]; info.DescriptorLimit > 0 && info.Descriptors >= info.DescriptorLimit {
			return p, true
		}
	}
	return tcpvet.Nobody, false
}

func acceptAdvice(out bool) tcpvet.Remedy {
	if out {
		return tcpvet.Advise{Code: true, Text: "find what uses up the descriptors, such as connections in CLOSE-WAIT, and close it", Run: "tcpvet explain close-wait-leak"}
	}
	return tcpvet.Advise{Code: true, Text: "find what keeps the process from accept(): a blocking call, a lock, too few workers", Run: "tcpvet explain accept-queue-full"}
}

// dropped is the finding of a namespace whose counter rose while no queue is
// full now.
func dropped(c *tcpvet.Census, id tcpvet.NetnsID, over vet.Rise) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Warning, Certainty: tcpvet.Likely, Kind: "overflows",
		Subject: tcpvet.Subject{Netns: id},
		Title:   vet.Heading(c, id, nil, "", "an accept queue overflowed between the looks"),
		Detail:  []string{"No queue is full now, so a burst came and went. The counter does not say at which listener."},
		Numbers: []tcpvet.Number{{Name: "dropped_connections", Value: float64(over.More)}},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Text: "ask for more in listen(), with net.core.somaxconn not below that, or accept faster", Run: "tcpvet explain accept-queue-full",
		}},
	}
	addOverflow(c, &f, over)
	return f
}

// addOverflow adds what the counter says.
func addOverflow(c *tcpvet.Census, f *tcpvet.Finding, over vet.Rise) {
	if over.More == 0 {
		return
	}
	f.Detail = append(f.Detail, "ListenOverflows rose by "+vet.Count(over.More)+" between the looks.")
	if f.Kind != "overflows" {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "dropped_connections", Value: float64(over.More)})
	}
	var near tcpvet.Process
	if len(f.Subject.Processes) > 0 {
		near = f.Subject.Processes[0]
	}
	if enter, ok := vet.Enter(c, f.Subject.Netns, near); ok {
		f.Evidence = append(f.Evidence, tcpvet.Evidence{
			What: "ListenOverflows since the namespace began", Got: vet.Count(over.Now),
			Check: enter + "nstat -asz " + overflows + " | awk 'NR == 2 {print $2}'",
		})
	}
}
