package synrecvpileup

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// The kinds.
const (
	full        = "full"
	unfinished  = "unfinished"
	acceptQueue = "accept-queue"
	dropped     = "dropped"
	cookies     = "cookies"
)

// door is a listener and the handshakes that wait before it.
type door struct {
	tcpvet.Listener
	queue *tcpvet.Queue

	waiting, again uint64 // in SYN-RECV; of them, those whose SYN-ACK was sent again
	most           uint8
	locals         int // groups that were summed up

	limit    uint64 // of waiting; 0 where it is not known
	bySyn    bool   // the limit is tcp_max_syn_backlog's
	off, on  bool   // tcp_syncookies is 0, or 1; neither where it is not known
	kind     string
	severity tcpvet.Severity
	unsure   bool
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	rose := rise(c)
	var findings []tcpvet.Finding
	blamed := make(map[tcpvet.NetnsID]bool)
	for _, d := range doors(&c.Now) {
		if d.weigh(&c.Now); d.severity == 0 {
			continue
		}
		findings = append(findings, d.finding(&c.Now, rose[d.Netns]))
		blamed[d.Netns] = blamed[d.Netns] || d.kind == full
	}
	for id, r := range rose {
		if !blamed[id] && (r.dropped.More > 0 || r.cookies.More >= some) {
			findings = append(findings, r.finding(&c.Now, id))
		}
	}
	return findings
}

// doors gives the listeners that have handshakes waiting, in a fixed order.
func doors(c *tcpvet.Census) []door {
	at := make(map[tcpvet.Listener]*door)
	for g, t := range c.Groups {
		if g.Folded() || t.States[tcpvet.SynRecv] == 0 {
			continue
		}
		l, q := vet.ListenerAt(c, g.Netns, g.Service)
		if q == nil {
			continue // closed since, or of the other role: a simultaneous open
		}
		d := at[l]
		if d == nil {
			d = &door{Listener: l, queue: q}
			at[l] = d
		}
		d.locals++
		d.waiting += uint64(t.States[tcpvet.SynRecv])
		if s := t.Stalled; s != nil {
			d.again += uint64(s.Resent[tcpvet.SynRecv])
			d.most = max(d.most, s.Most[tcpvet.SynRecv])
		}
	}
	var all []door
	for _, d := range at {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b door) int { return cmp.Or(cmp.Compare(a.Netns, b.Netns), a.Local.Compare(b.Local)) })
	return all
}

// weigh works out how bad it is, severity 0 for not at all.
func (d *door) weigh(c *tcpvet.Census) {
	n := c.Netns[d.Netns]
	if d.queue.Known.Has(tcpvet.FactBacklogMax) {
		d.limit = d.queue.Limit
	}
	mode, ok := n.SysctlInt("net.ipv4.tcp_syncookies")
	d.off, d.on = ok && mode == 0, ok && mode == 1
	if d.off {
		// The last quarter is kept for peers that have proved to be there.
		if most, ok := n.SysctlInt("net.ipv4.tcp_max_syn_backlog"); ok && most > 0 {
			if usable := uint64(most - most/4); d.limit == 0 || usable < d.limit {
				d.limit, d.bySyn = usable, true
			}
		}
	}
	lack := c.GroupError * uint64(d.locals)
	d.severity, d.kind = d.judged(0, mode == 2)
	severity, kind := d.judged(lack, mode == 2)
	d.unsure = severity != d.severity || kind != d.kind
}

// judged weighs a door before which so many more may wait. With cookies always on
// the queue holds nothing, so that what it holds came before.
func (d *door) judged(lack uint64, always bool) (tcpvet.Severity, string) {
	waiting, again := d.waiting+lack, d.again+lack
	q := d.queue
	switch {
	case again >= some && q.Known.Has(tcpvet.FactBacklog|tcpvet.FactBacklogMax) && q.Fullest.Length > q.Fullest.Limit:
		return tcpvet.Info, acceptQueue
	case d.limit > 0 && waiting >= d.limit && 2*again >= waiting && !always:
		switch {
		case d.off:
			return tcpvet.Critical, full
		case waiting >= some:
			return tcpvet.Warning, full
		}
		return tcpvet.Info, full
	case again < some:
		return 0, ""
	case again >= many, d.limit > 0 && float64(again) > crowded*float64(d.limit):
		return tcpvet.Warning, unfinished
	}
	return tcpvet.Info, unfinished
}

// rises are the counters of a namespace that tell of full queues.
type rises struct{ dropped, cookies vet.Rise }

const (
	dropCounter   = "TcpExtTCPReqQFullDrop"
	cookieCounter = "TcpExtTCPReqQFullDoCookies"
)

func rise(c tcpvet.Case) map[tcpvet.NetnsID]rises {
	all := make(map[tcpvet.NetnsID]rises)
	for id, n := range c.Now.Netns {
		r := rises{dropped: vet.RiseOf(&c, id, dropCounter), cookies: vet.RiseOf(&c, id, cookieCounter)}
		if mode, ok := n.SysctlInt("net.ipv4.tcp_syncookies"); ok && mode == 2 {
			r.cookies = vet.Rise{} // they are always sent
		}
		if r != (rises{}) {
			all[id] = r
		}
	}
	return all
}

// everyAddress tells a listener of no particular address.
func everyAddress(at netip.AddrPort) bool { return at.Addr().IsUnspecified() }
