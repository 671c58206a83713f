package path

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// resolve gives the addresses of a host in the order in which the C library would try
// them; family is 4, 6, or 0 for either.
func resolve(ctx context.Context, host string, family int) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		if family != 0 && addr.Is4() != (family == 4) {
			return nil, fmt.Errorf("resolve %s: it is no IPv%d address", host, family)
		}
		return []netip.Addr{addr}, nil
	}
	network := "ip"
	if family != 0 {
		network = fmt.Sprintf("ip%d", family)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return nil, fmt.Errorf("resolve %s: %s", host, e.Err) // it names the host and servers once more
	}
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", host, err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}
