package live

import (
	"net/netip"
	"slices"
	"strings"
)

// inHosts gives the addresses of a name in the text of a hosts file (hosts(5)), in
// its order. Lines that are damaged are passed over, as resolvers do.
func inHosts(text, name string) []netip.Addr {
	name = strings.TrimSuffix(name, ".")
	var found []netip.Addr
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || slices.Contains(found, addr) {
			continue
		}
		if slices.ContainsFunc(fields[1:], func(alias string) bool { return strings.EqualFold(strings.TrimSuffix(alias, "."), name) }) {
			found = append(found, addr)
		}
	}
	return found
}
