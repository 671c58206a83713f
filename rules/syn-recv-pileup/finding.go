package synrecvpileup

import (
	"fmt"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

func (d *door) finding(c *tcpvet.Census, r rises) tcpvet.Finding {
	q, n := d.queue, c.Netns[d.Netns]
	info := c.Processes[q.Holder]
	f := tcpvet.Finding{
		Rule: name, Severity: d.severity, Kind: d.kind,
		Subject: tcpvet.Subject{Netns: d.Netns, Container: info.Container, Service: d.Local, Services: 1, Local: d.Local.Addr()},
		Numbers: []tcpvet.Number{
			{Name: "unfinished_handshakes", Value: float64(d.waiting)},
			{Name: "sent_again_handshakes", Value: float64(d.again)},
		},
	}
	if d.unsure {
		f.Certainty = tcpvet.Likely
	}
	who := ""
	if q.Holder != tcpvet.Nobody {
		who = vet.OwnerText(c, q.Holder)
	}
	if q.Holder.Known() {
		f.Subject.Processes = append([]tcpvet.Process{q.Holder}, q.SharedWith...)
	}
	f.Title = vet.Heading(c, d.Netns, info.Container, who, "listens on "+d.Local.String())
	first := fmt.Sprintf("%s wait for the ACK that completes them; the SYN-ACK of %s was sent again",
		vet.Bound(c.GroupError, "At least ")+vet.Counted(d.waiting, "handshake"), vet.Count(d.again))
	if d.most > 0 {
		first += ", of one " + vet.Times(int(d.most))
	}
	f.Detail = []string{first + "."}
	if d.limit > 0 {
		f.Numbers = append(f.Numbers, tcpvet.Number{Name: "limit_handshakes", Value: float64(d.limit)})
	}
	f.Detail = append(f.Detail, d.meaning()...)
	if after, ok := vet.HandshakeGivesUp(&n); ok && d.kind != acceptQueue {
		retries, _ := n.SysctlInt("net.ipv4.tcp_synack_retries")
		f.Detail = append(f.Detail, fmt.Sprintf("The kernel gives each up after %s at the most (tcp_synack_retries = %d).", vet.Duration(after), retries))
	}
	f.Numbers = append(f.Numbers, vet.MayLack(c.GroupError, "handshakes")...)
	if enter, ok := vet.Enter(c, d.Netns, q.Holder); ok {
		f.Evidence = []tcpvet.Evidence{{
			What: "handshakes in SYN-RECV there" + vet.OfEveryProcess(c), Got: vet.AtLeast(c.GroupError, d.counted(c)),
			Check: enter + d.selection().Count(),
		}}
	}
	r.add(c, &f)
	f.Remedies = d.remedies(c)
	return f
}

// meaning says what the number means for those who come next.
func (d *door) meaning() []string {
	limit := "the backlog of the listener"
	if d.bySyn {
		limit = "3/4 of tcp_max_syn_backlog"
	}
	switch d.kind {
	case acceptQueue:
		return []string{fmt.Sprintf("Its accept queue is full (%s of %s): the kernel drops the ACKs that would complete them. accept-queue-full tells why.",
			vet.Count(d.queue.Fullest.Length), vet.Count(d.queue.Fullest.Limit))}
	case full:
		next := "what comes next gets a SYN cookie, if tcp_syncookies is on as by default"
		switch {
		case d.on:
			next = "what comes next gets a SYN cookie"
		case d.off:
			next = "tcp_syncookies is 0, so the kernel drops what comes next, and clients time out"
		}
		return []string{fmt.Sprintf("That is the limit of %s, %s: %s.", vet.Count(d.limit), limit, next), flood}
	}
	if d.limit > 0 {
		return []string{fmt.Sprintf("The limit is %s, %s.", vet.Count(d.limit), limit), flood}
	}
	return []string{flood}
}

const flood = "A SYN flood with forged addresses does this, and so does a way on which the SYN-ACKs or the ACKs are lost: the addresses tell which."

// selection is what ss can select: a listener of every address has what comes to
// any.
func (d *door) selection() vet.Selection {
	s := vet.Selection{State: tcpvet.SynRecv}
	if everyAddress(d.Local) {
		s.Ports = &tcpvet.Ports{Low: d.Local.Port(), High: d.Local.Port()}
	} else {
		s.Local = tcpvet.Unmap(d.Local)
	}
	return s
}

// counted is what the selection holds: of every address where the listener is, so
// that what another listener of the port has counts too.
func (d *door) counted(c *tcpvet.Census) uint64 {
	var n uint64
	for g, t := range c.Groups {
		if g.Netns == d.Netns && g.Role != tcpvet.Client && g.Service.Port() == d.Local.Port() &&
			(everyAddress(d.Local) || g.Service == tcpvet.Unmap(d.Local)) {
			n += uint64(t.States[tcpvet.SynRecv])
		}
	}
	return n
}

func (d *door) remedies(c *tcpvet.Census) []tcpvet.Remedy {
	if d.kind == acceptQueue {
		return []tcpvet.Remedy{tcpvet.Advise{Code: true, Text: "find what keeps the process from accept(): a blocking call, a lock, too few workers", Run: "tcpvet explain accept-queue-full"}}
	}
	look := "tcpvet explain SYN-RECV"
	if enter, ok := vet.Enter(c, d.Netns, d.queue.Holder); ok {
		look = enter + d.selection().List()
	}
	out := []tcpvet.Remedy{tcpvet.Advise{Text: "see whose addresses they are: if you know these clients, look at the way back and at firewalls, else filter the flood upstream", Run: look}}
	if d.off {
		out = append(out, tcpvet.Advise{Text: "set net.ipv4.tcp_syncookies to 1, so that a full queue does not shut out everybody", Run: "tcpvet explain syn-recv-pileup", May: tcpvet.ChangesKernel})
	}
	return append(out, tcpvet.Advise{Code: true, Text: "for bursts of real clients ask for more in listen(), with net.core.somaxconn not below that", Run: "tcpvet explain somaxconn"})
}

// finding is that of a namespace whose counters rose while no listener is full.
func (r rises) finding(c *tcpvet.Census, id tcpvet.NetnsID) tcpvet.Finding {
	f := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Certainty: tcpvet.Likely, Kind: cookies,
		Subject: tcpvet.Subject{Netns: id},
		Title:   vet.Heading(c, id, nil, "", "a listener had too many unfinished handshakes between the looks"),
		Detail:  []string{"No listener has as many now as its limit, so a burst or a flood came and went. The counters do not say at which listener."},
		Numbers: []tcpvet.Number{{Name: "cookie_handshakes", Value: float64(r.cookies.More)}},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{
			Text: "look again while it lasts; for bursts of real clients ask for more in listen(), with net.core.somaxconn not below that", Run: "tcpvet explain syn-recv-pileup",
		}},
	}
	if r.dropped.More > 0 {
		f.Severity, f.Kind = tcpvet.Warning, dropped
		f.Numbers = []tcpvet.Number{{Name: "dropped_syns", Value: float64(r.dropped.More)}}
	}
	r.add(c, &f)
	return f
}

// add adds what the counters say.
func (r rises) add(c *tcpvet.Census, f *tcpvet.Finding) {
	var near tcpvet.Process
	if len(f.Subject.Processes) > 0 {
		near = f.Subject.Processes[0]
	}
	enter, ok := vet.Enter(c, f.Subject.Netns, near)
	for _, counter := range []struct {
		name, says string
		vet.Rise
	}{
		{dropCounter, "TCPReqQFullDrop rose by %s between the looks: so many SYNs were dropped.", r.dropped},
		{cookieCounter, "TCPReqQFullDoCookies rose by %s between the looks: so many SYNs were answered by a cookie.", r.cookies},
	} {
		if counter.More == 0 {
			continue
		}
		f.Detail = append(f.Detail, fmt.Sprintf(counter.says, vet.Count(counter.More)))
		if ok {
			f.Evidence = append(f.Evidence, tcpvet.Evidence{
				What: counter.name + " since the namespace began", Got: vet.Count(counter.Now),
				Check: enter + "nstat -asz " + counter.name + " | awk 'NR == 2 {print $2}'",
			})
		}
	}
}
