package descriptorlimit

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// crowd is a process near its limit.
type crowd struct {
	tcpvet.Process
	tcpvet.ProcessInfo
	groups []group // what its TCP sockets are, the most first
	tcp    uint64  // the sum over groups
	shared uint64  // TCP sockets that count under a process that has them too
}

// group is the connections in one state with one service.
type group struct {
	state   tcpvet.State
	role    tcpvet.Role
	service netip.AddrPort // the zero value for services that were folded together
	count   uint64
}

func (c *crowd) ratio() float64 { return float64(c.Descriptors) / float64(c.DescriptorLimit) }

func (c *crowd) severity() tcpvet.Severity {
	if c.ratio() > full {
		return tcpvet.Critical
	}
	return tcpvet.Warning
}

// tableless is how many descriptors have a socket that is in no table.
func (c *crowd) tableless() uint64 {
	if c.Tableless == nil {
		return 0
	}
	return c.Tableless.Total()
}

// closed is how many connections the peer has closed and the process has not.
func (c *crowd) closed() uint64 {
	var n uint64
	for _, g := range c.groups {
		if g.state == tcpvet.CloseWait {
			n += g.count
		}
	}
	return n
}

// leaks tells that the larger part of the sockets has surely had its end.
func (c *crowd) leaks() bool {
	ended := c.closed()
	if c.Tableless != nil {
		ended += c.Tableless.Used
	}
	return 2*ended > c.Sockets
}

// mayLeak counts those too that may not have begun yet.
func (c *crowd) mayLeak() bool { return 2*(c.closed()+c.tableless()) > c.Sockets }

func judge(c tcpvet.Case) []tcpvet.Finding {
	var crowds []crowd
	at := make(map[tcpvet.Process]int)
	for p, info := range c.Now.Processes {
		one := crowd{Process: p, ProcessInfo: info}
		if !p.Known() || info.DescriptorLimit == 0 || one.ratio() <= crowded || float64(info.Sockets) < sockets*float64(info.Descriptors) {
			continue
		}
		crowds = append(crowds, one)
	}
	if len(crowds) == 0 {
		return nil
	}
	slices.SortFunc(crowds, func(a, b crowd) int {
		return cmp.Or(
			cmp.Compare(a.Netns, b.Netns), cmp.Compare(b.severity(), a.severity()), cmp.Compare(b.ratio(), a.ratio()),
			cmp.Compare(a.PID, b.PID), cmp.Compare(a.Start, b.Start),
		)
	})
	for i := range crowds {
		at[crowds[i].Process] = i
	}
	count(&c.Now, crowds, at)
	var findings []tcpvet.Finding
	for len(crowds) > 0 {
		n := 1
		for n < len(crowds) && crowds[n].Netns == crowds[0].Netns {
			n++
		}
		fullest, rest := vet.Cut(crowds[:n], processes)
		for i := range fullest {
			findings = append(findings, fullest[i].finding(&c.Now))
		}
		if len(rest) > 0 {
			findings = append(findings, more(&c.Now, rest))
		}
		crowds = crowds[n:]
	}
	return findings
}

// count fills in what the TCP sockets of the processes are; at gives their places.
func count(c *tcpvet.Census, crowds []crowd, at map[tcpvet.Process]int) {
	type key struct {
		holder  int
		state   tcpvet.State
		role    tcpvet.Role
		service netip.AddrPort
	}
	sums := make(map[key]uint64)
	for g, t := range c.Groups {
		for p, n := range t.Shared {
			if i, ok := at[p]; ok {
				crowds[i].shared += uint64(n)
			}
		}
		i, ok := at[g.Holder]
		if !ok {
			continue
		}
		for s, n := range t.States {
			if n > 0 {
				sums[key{i, tcpvet.State(s), g.Role, g.Service}] += uint64(n)
			}
		}
	}
	for k, n := range sums {
		one := &crowds[k.holder]
		one.groups = append(one.groups, group{k.state, k.role, k.service, n})
		one.tcp += n
	}
	for i := range crowds {
		slices.SortFunc(crowds[i].groups, func(a, b group) int {
			return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.state, b.state), cmp.Compare(a.role, b.role), a.service.Compare(b.service))
		})
	}
}
