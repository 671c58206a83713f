package procfs

import (
	"bytes"
	"net/netip"
)

// ParseHosts gives the addresses that a file of hosts(5) has for a name, in the
// order of the file, each once. The result is empty, not nil, where there are
// none. Lines without an address are passed over, as resolvers do.
func ParseHosts(b []byte, name string) []netip.Addr {
	addrs := []netip.Addr{}
	seen := make(map[netip.Addr]bool)
	for line := range bytes.Lines(b) {
		line, _, _ = bytes.Cut(line, []byte{'#'})
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		for _, alias := range fields[1:] {
			if !bytes.EqualFold(alias, []byte(name)) {
				continue
			}
			if a, err := netip.ParseAddr(string(fields[0])); err == nil && !seen[a] {
				seen[a] = true
				addrs = append(addrs, a)
			}
			break
		}
	}
	return addrs
}
