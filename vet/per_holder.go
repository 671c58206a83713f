package vet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// PerHolder is what one process holds as one end of its connections, over its
// services.
type PerHolder struct {
	Holding
	Count    uint64         // the sum over Services
	Services []ServiceCount // the most first
}

// ServiceCount is how many of something belong to one service.
type ServiceCount struct {
	Service netip.AddrPort // the zero value for those that were folded together
	Count   uint64
}

// ByHolder sums up Holdings, which are in their order, by namespace, process and
// role. count says how many of each are meant.
func ByHolder(held []Holding, count func(*Holding) uint64) []PerHolder {
	var all []PerHolder
	for i := range held {
		h := &held[i]
		n := count(h)
		if last := len(all) - 1; last >= 0 && all[last].Netns == h.Netns && all[last].Holder == h.Holder && all[last].Role == h.Role {
			p := &all[last]
			p.Merge(h)
			p.Count += n
			p.Services = append(p.Services, ServiceCount{h.Service, n})
			continue
		}
		all = append(all, PerHolder{*h, n, []ServiceCount{{h.Service, n}}})
	}
	for i := range all {
		slices.SortFunc(all[i].Services, func(a, b ServiceCount) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), a.Service.Compare(b.Service))
		})
	}
	return all
}

// folded tells that the services stand for more than are known.
func (p *PerHolder) folded() bool { return !p.Service.IsValid() }

// Subject names the process, and the service where it is one.
func (p *PerHolder) Subject(c *tcpvet.Census) tcpvet.Subject {
	s := tcpvet.Subject{
		Netns: p.Netns, Container: c.Processes[p.Holder].Container, Service: p.Service, Services: len(p.Services), Local: p.Local(),
	}
	if p.folded() {
		s.Services = max(s.Services, 2)
	}
	if p.Holder.Known() {
		s.Processes = append([]tcpvet.Process{p.Holder}, p.SharedWith()...)
	}
	return s
}

// About says toward what: "to 10.0.3.7:8080", or "on 3 services".
func (p *PerHolder) About() string {
	toward := "on "
	if p.Role == tcpvet.Client {
		toward = "to "
	}
	if p.folded() {
		return toward + Counted(max(len(p.Services), 2), "service")
	}
	return toward + p.Service.String()
}

// Most names the services that have the most, "" for a single one.
func (p *PerHolder) Most(c *tcpvet.Census) string {
	const most = 3
	if len(p.Services) < 2 {
		return ""
	}
	var names []string
	for _, s := range p.Services[:min(len(p.Services), most)] {
		at := "others"
		if s.Service.IsValid() {
			at = s.Service.String()
		}
		names = append(names, fmt.Sprintf("%s (%s)", at, AtLeast(c.GroupError, s.Count)))
	}
	if more := len(p.Services) - most; more > 0 {
		names = append(names, Counted(more, "other"))
	}
	return "Most of them: " + strings.Join(names, ", ") + "."
}
