package vet

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tcpvet/tcpvet"
)

// Held names what one process holds toward one service.
type Held struct {
	Netns   tcpvet.NetnsID
	Holder  tcpvet.Process
	Role    tcpvet.Role
	Service netip.AddrPort // the zero value for services that were folded together
}

// Holding is what one process holds toward one service, over all of its local
// addresses. Its Tally may be the Census's own: it is not to be changed.
type Holding struct {
	Held
	Locals []netip.Addr // in order
	*tcpvet.Tally

	summed bool // Tally is a sum of its own
}

// Local gives the local address, the zero Addr where there are several.
func (h *Holding) Local() netip.Addr {
	if len(h.Locals) == 1 {
		return h.Locals[0]
	}
	return netip.Addr{}
}

// Holdings gives what is held in those groups of the Census that want selects,
// in a fixed order.
func Holdings(c *tcpvet.Census, want func(tcpvet.Group, *tcpvet.Tally) bool) []Holding {
	at := make(map[Held]int)
	var all []Holding
	for g, t := range c.Groups {
		if !want(g, t) {
			continue
		}
		key := Held{g.Netns, g.Holder, g.Role, g.Service}
		i, ok := at[key]
		if !ok {
			at[key] = len(all)
			all = append(all, Holding{Held: key, Locals: []netip.Addr{g.Local}, Tally: t})
			continue
		}
		all[i].Locals = append(all[i].Locals, g.Local)
		all[i].add(t)
	}
	for i := range all {
		slices.SortFunc(all[i].Locals, netip.Addr.Compare)
	}
	slices.SortFunc(all, func(a, b Holding) int { return a.compare(b.Held) })
	return all
}

// Merge adds o to h: h then stands for both services.
func (h *Holding) Merge(o *Holding) {
	if h.Service != o.Service {
		h.Service = netip.AddrPort{}
	}
	if len(h.Locals) == 1 && !slices.Equal(h.Locals, o.Locals) {
		h.Locals = append(slices.Clip(h.Locals), o.Locals...) // enough to see that there are several
	}
	h.add(o.Tally)
}

func (h *Holding) add(t *tcpvet.Tally) {
	if !h.summed {
		sum := new(tcpvet.Tally)
		sum.Merge(h.Tally)
		h.Tally, h.summed = sum, true
	}
	h.Tally.Merge(t)
}

func (k Held) compare(o Held) int {
	return cmp.Or(
		cmp.Compare(k.Netns, o.Netns),
		compareProcesses(k.Holder, o.Holder),
		cmp.Compare(k.Role, o.Role),
		k.Service.Compare(o.Service),
	)
}

// SharedWith gives the other processes that hold some of these sockets too.
func (h *Holding) SharedWith() []tcpvet.Process {
	others := make([]tcpvet.Process, 0, len(h.Shared))
	for p := range h.Shared {
		others = append(others, p)
	}
	slices.SortFunc(others, compareProcesses)
	return others
}
