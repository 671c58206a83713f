package ipv6localhost

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// fault is what the processes of a namespace share that see the same.
type fault struct {
	netns     tcpvet.NetnsID
	kind      string // "only" or "first"
	localhost []netip.Addr
	processes []tcpvet.Process // in order
}

func judge(c tcpvet.Case) []tcpvet.Finding {
	now := &c.Now
	var findings []tcpvet.Finding
	byKind := make(map[string][]*fault)
	for _, f := range faults(now) {
		byKind[f.kind] = append(byKind[f.kind], f)
	}
	for _, kind := range []string{"only", "first"} {
		first, rest := vet.Cut(byKind[kind], named)
		for _, f := range first {
			findings = append(findings, f.finding(now))
		}
		if len(rest) > 0 {
			findings = append(findings, more(now, rest))
		}
	}
	return findings
}

// faults gives what is wrong, the most processes first.
func faults(c *tcpvet.Census) []*fault {
	at := make(map[string]*fault)
	for p, info := range c.Processes {
		n, ok := c.Netns[info.Netns]
		if !p.Known() || !ok || n.Addresses == nil || has(&n, netip.IPv6Loopback()) {
			continue
		}
		kind := meaning(info.Localhost)
		if kind == "" {
			continue
		}
		key := fmt.Sprint(info.Netns, info.Localhost)
		f := at[key]
		if f == nil {
			f = &fault{netns: info.Netns, kind: kind, localhost: info.Localhost}
			at[key] = f
		}
		f.processes = append(f.processes, p)
	}
	all := make([]*fault, 0, len(at))
	for _, f := range at {
		slices.SortFunc(f.processes, func(a, b tcpvet.Process) int { return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Start, b.Start)) })
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *fault) int {
		return cmp.Or(cmp.Compare(len(b.processes), len(a.processes)), cmp.Compare(a.netns, b.netns), cmp.Compare(a.processes[0].PID, b.processes[0].PID))
	})
	return all
}

// meaning tells in which way localhost leads to ::1, "" for none.
func meaning(localhost []netip.Addr) string {
	v4 := slices.IndexFunc(localhost, func(a netip.Addr) bool { return a.Unmap().Is4() })
	switch v6 := slices.Index(localhost, netip.IPv6Loopback()); {
	case v6 < 0:
		return ""
	case v4 < 0:
		return "only"
	case v6 < v4:
		return "first"
	}
	return ""
}

// has tells whether an interface of the namespace that is up has the address.
func has(n *tcpvet.Netns, addr netip.Addr) bool {
	return slices.ContainsFunc(n.Addresses, func(a tcpvet.Address) bool { return a.Up && a.Prefix.Addr() == addr })
}

func (f *fault) finding(c *tcpvet.Census) tcpvet.Finding {
	first := f.processes[0]
	info := c.Processes[first]
	out := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Kind: f.kind,
		Subject: tcpvet.Subject{Netns: f.netns, Processes: f.processes, Container: f.container(c), Local: netip.IPv6Loopback()},
		Numbers: []tcpvet.Number{{Name: "processes", Value: float64(len(f.processes))}, {Name: "addresses_of_localhost", Value: float64(len(f.localhost))}},
	}
	about := "localhost means ::1 first, which nobody has here"
	means := "The first address of localhost is ::1: a program that tries no other fails with EADDRNOTAVAIL (99). Most try 127.0.0.1 next."
	if f.kind == "only" {
		out.Severity = tcpvet.Warning
		about = "localhost means ::1, which nobody has here"
		means = "localhost has no address but ::1: connect() to it fails with EADDRNOTAVAIL (99), with every port free."
	}
	out.Title = vet.Heading(c, f.netns, out.Subject.Container, f.who(c), about)
	n := c.Netns[f.netns]
	n.ID = f.netns
	out.Detail = []string{means, why(&n)}
	enter, way := vet.Enter(c, f.netns, first)
	out.Evidence = []tcpvet.Evidence{{
		What: "what " + vet.ProcessText(c, first) + " reads for localhost", Got: list(f.localhost),
		Check: fmt.Sprintf(`awk '{sub(/#.*/, ""); for (i = 2; i <= NF; i++) if (tolower($i) == "localhost") {print $1; next}}' /proc/%d/root/etc/hosts`, first.PID),
	}}
	if way {
		out.Evidence = append(out.Evidence, tcpvet.Evidence{
			What: "interfaces that are up and have ::1", Got: "0", Check: enter + "ip -6 -o addr show up to ::1 | wc -l",
		})
	}
	hosts := "put the line 127.0.0.1 localhost before the one with ::1 in /etc/hosts"
	if info.Container != nil {
		hosts += " of the image, or have the container's runtime write it"
	}
	out.Remedies = append(out.Remedies, tcpvet.Advise{Text: hosts, Run: "tcpvet explain ipv6-localhost"})
	for _, setting := range off(&n) {
		if way {
			out.Remedies = append(out.Remedies, tcpvet.SetSysctl{
				Netns: f.netns, Where: vet.NetnsFlag(enter), Name: setting, Value: "0", Why: "lo gets ::1 back, if it is up",
			})
		}
	}
	out.Remedies = append(out.Remedies, tcpvet.Advise{Code: true, Text: "connect to 127.0.0.1 by its number", Run: "tcpvet explain ipv6-localhost"})
	return out
}

// list writes addresses as a file gives them, with blanks between.
func list(addrs []netip.Addr) string {
	words := make([]string, 0, len(addrs))
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

// who names the processes, or counts them.
func (f *fault) who(c *tcpvet.Census) string {
	if len(f.processes) > listed {
		return vet.Count(len(f.processes)) + " processes"
	}
	var names []string
	for _, p := range f.processes {
		names = append(names, vet.ProgramText(c, p))
	}
	return strings.Join(names, ", ")
}

// container is the one that all of the processes are in, nil for none.
func (f *fault) container(c *tcpvet.Census) *tcpvet.Container {
	first := c.Processes[f.processes[0]].Container
	for _, p := range f.processes[1:] {
		if other := c.Processes[p].Container; first == nil || other == nil || *other != *first {
			return nil
		}
	}
	return first
}

const loSetting = "net.ipv6.conf.lo.disable_ipv6"

// off gives the setting that keeps lo from ::1, none where it does not.
func off(n *tcpvet.Netns) []string {
	if v, ok := n.SysctlInt(loSetting); ok && v != 0 {
		return []string{loSetting}
	}
	return nil
}

// why says what keeps ::1 away, as far as that is known.
func why(n *tcpvet.Netns) string {
	down := slices.ContainsFunc(n.Addresses, func(a tcpvet.Address) bool { return !a.Up && a.Prefix.Addr().IsLoopback() })
	up := slices.ContainsFunc(n.Addresses, func(a tcpvet.Address) bool { return a.Up && a.Prefix.Addr().IsLoopback() })
	_, has := n.Sysctls[loSetting]
	switch {
	case len(off(n)) > 0:
		return loSetting + " is 1: lo has no IPv6 address."
	case n.Sysctls != nil && !has:
		return "This kernel has no IPv6 in the namespace, so socket() may fail first, with EAFNOSUPPORT (97)."
	case down || !up:
		return "No loopback address is on an interface that is up: lo is down (ip link set lo up)."
	}
	return "No interface that is up has ::1."
}

// more is the finding of the namespaces that are not named.
func more(c *tcpvet.Census, all []*fault) tcpvet.Finding {
	processes := 0
	for _, f := range all {
		processes += len(f.processes)
	}
	out := tcpvet.Finding{
		Rule: name, Severity: tcpvet.Info, Kind: all[0].kind,
		Subject: tcpvet.Subject{Netns: all[0].netns, Local: netip.IPv6Loopback()},
		Title:   vet.Heading(c, c.Self, nil, "", vet.Count(len(all))+" more places where localhost means ::1"),
		Detail: []string{fmt.Sprintf("Besides the %d that are named, %s see such a hosts file, in %s other places: a namespace with a file each.",
			named, vet.Count(processes)+" processes", vet.Count(len(all)))},
		Numbers: []tcpvet.Number{
			{Name: "largest_place_processes", Value: float64(len(all[0].processes))},
			{Name: "more_places", Value: float64(len(all))},
			{Name: "processes", Value: float64(processes)},
		},
		Remedies: []tcpvet.Remedy{tcpvet.Advise{Text: "put the hosts file right where these containers are made", Run: "tcpvet explain ipv6-localhost"}},
	}
	if all[0].kind == "only" {
		out.Severity = tcpvet.Warning
	}
	return out
}
