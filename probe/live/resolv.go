package live

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// resolver is what resolv.conf(5) says, as far as Go's resolver heeds it.
type resolver struct {
	servers  []netip.AddrPort
	search   []string // each ends in a dot
	ndots    int
	timeout  time.Duration // for each question
	attempts int
}

// most is how many servers count (MAXNS in resolv.h).
const most = 3

// parseResolv reads the text of a resolv.conf. What is missing or damaged has the
// default of resolv.conf(5).
func parseResolv(text string) resolver {
	r := resolver{ndots: 1, timeout: 5 * time.Second, attempts: 2}
	for line := range strings.Lines(text) {
		if line[0] == '#' || line[0] == ';' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(fields[1]); err == nil && len(r.servers) < most {
				r.servers = append(r.servers, netip.AddrPortFrom(addr, 53))
			}
		case "domain", "search":
			r.search = nil
			if fields[0] == "domain" {
				fields = fields[:2]
			}
			for _, domain := range fields[1:] {
				if domain = strings.Trim(domain, "."); domain != "" {
					r.search = append(r.search, domain+".")
				}
			}
		case "options":
			for _, option := range fields[1:] {
				r.option(option)
			}
		}
	}
	if len(r.servers) == 0 {
		r.servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")}
	}
	return r
}

func (r *resolver) option(option string) {
	name, text, _ := strings.Cut(option, ":")
	n, err := strconv.Atoi(text)
	if err != nil {
		return
	}
	switch name {
	case "ndots":
		r.ndots = min(max(n, 0), 15)
	case "timeout":
		r.timeout = time.Duration(min(max(n, 1), 30)) * time.Second
	case "attempts":
		r.attempts = min(max(n, 1), 5)
	}
}

// names gives the names to ask for, in order: one with as many dots as ndots says
// is tried as it is first, another last.
func (r *resolver) names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	whole := strings.Count(name, ".") >= r.ndots
	if whole {
		all = append(all, name+".")
	}
	for _, domain := range r.search {
		all = append(all, name+"."+domain)
	}
	if !whole {
		all = append(all, name+".")
	}
	return all
}
