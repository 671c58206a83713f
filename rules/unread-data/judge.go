package unreaddata

import (
	"cmp"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// reader is who has data unread toward a service.
type reader struct {
	holder tcpvet.Process
	role   tcpvet.Role
	count  uint64
}

// heap is what one process has waiting, of one kind.
type heap struct {
	vet.PerHolder
	kind      string
	severity  tcpvet.Severity
	reader    reader // of what is blocked; count 0 where it is not on this host
	processes int    // how many were summed up
	unsure    bool   // what was folded may lift the severity
}

// judgement is one run of the rule.
type judgement struct {
	tcpvet.Case

	// What ss can count, by kind.
	counts map[string]map[vet.Side]uint64
	totals map[string]map[tcpvet.NetnsID]uint64
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	j := judgement{c, map[string]map[vet.Side]uint64{unread: {}, blocked: {}}, map[string]map[tcpvet.NetnsID]uint64{unread: {}, blocked: {}}}
	sides := vet.SidesOf(&c.Now)
	readers := make(map[vet.Side]reader)
	for g, t := range c.Now.Groups {
		if t.Queued == nil {
			continue
		}
		n := uint64(t.Queued.Sockets)
		for kind, n := range map[string]uint64{unread: n, blocked: uint64(t.Queued.BlockedSockets)} {
			j.counts[kind][vet.Side{Netns: g.Netns, Role: g.Role, Service: g.Service}] += n
			j.totals[kind][g.Netns] += n
		}
		p := sides.At(g.Netns, g.Role, g.Service).Other()
		r := reader{g.Holder, g.Role, n}
		if old := readers[p]; g.Service.IsValid() && r.before(old) {
			readers[p] = r
		}
	}
	var heaps []heap
	for _, p := range j.held(unread) {
		heaps = append(heaps, j.weigh(heap{PerHolder: p, kind: unread}))
	}
	for _, p := range j.held(blocked) {
		h := heap{PerHolder: p, kind: blocked}
		var seen uint64
		for _, s := range p.Services {
			r := readers[sides.At(p.Netns, p.Role, s.Service)]
			if seen += min(r.count, s.Count); r.before(h.reader) {
				h.reader = r
			}
		}
		if 2*seen < p.Count {
			h.reader = reader{}
		}
		heaps = append(heaps, j.weigh(h))
	}
	var findings []tcpvet.Finding
	for _, h := range sumUp(heaps) {
		findings = append(findings, j.finding(&h))
	}
	return findings
}

// before orders readers: the most first.
func (r reader) before(o reader) bool {
	return cmp.Or(cmp.Compare(r.count, o.count), cmp.Compare(o.holder.PID, r.holder.PID), cmp.Compare(o.holder.Start, r.holder.Start)) > 0
}

// old counts those of a kind that have waited for the patience.
func old(t *tcpvet.Tally, kind string, patience time.Duration) uint64 {
	switch {
	case t.Queued == nil:
		return 0
	case kind == unread:
		return t.Queued.Unread.AtLeast(patience)
	}
	return t.Queued.Blocked.AtLeast(patience)
}

func (j *judgement) held(kind string) []vet.PerHolder {
	held := vet.Holdings(&j.Now, func(g tcpvet.Group, t *tcpvet.Tally) bool {
		if kind == unread && g.Holder == tcpvet.Nobody && j.Now.Facts.Has(tcpvet.FactHolders) {
			return false // not accepted yet
		}
		return old(t, kind, j.Patience) > 0
	})
	return vet.ByHolder(held, func(h *vet.Holding) uint64 { return old(h.Tally, kind, j.Patience) })
}

func (j *judgement) weigh(h heap) heap {
	h.processes, h.severity = 1, tcpvet.Info
	if h.Count >= some && h.reader.count == 0 {
		h.severity = tcpvet.Warning
	}
	h.unsure = h.Count < some && h.reader.count == 0 && h.Count+j.Now.GroupError >= some
	return h
}

// mayBeUnaccepted tells that some of these may be connections that no process
// has accepted: the input does not tell them apart.
func (j *judgement) mayBeUnaccepted(h *heap) bool {
	return h.kind == unread && h.Role != tcpvet.Client &&
		(!j.Now.Facts.Has(tcpvet.FactHolders) || vet.MaybeNobody(&j.Now, h.Holder))
}

// sumUp keeps the largest of each kind and namespace, and makes one of the
// others.
func sumUp(heaps []heap) []heap {
	return vet.Largest(heaps, named,
		func(a, b heap) int { return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.kind, b.kind)) },
		func(a, b heap) int {
			return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(b.Count, a.Count))
		},
		func(sum, o *heap) {
			sum.Merge(&o.Holding)
			sum.Count += o.Count
			sum.processes += o.processes
			sum.unsure = sum.unsure || o.unsure
		})
}
