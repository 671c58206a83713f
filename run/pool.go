package run

import (
	"fmt"
	"net/netip"
	"slices"
)

// The order of enum pool in bpf/pool.h.
const (
	loopback4 = iota
	rest4
	loopback6
	rest6
	pools
)

// maxPool is how many addresses a pool holds: POOL_MOST in bpf/pool.h.
const maxPool = 64

// pools sorts the addresses by the destinations that they are for.
func (o *Options) pools() (p [pools][]netip.Addr, err error) {
	for _, a := range o.Pool {
		fail := func(why string) error { return fmt.Errorf("check source pool: %v: %s", a, why) }
		kind := rest4
		a := a.Unmap()
		switch {
		case !a.IsValid():
			return p, fmt.Errorf("check source pool: an address is empty")
		case a.IsUnspecified(), a.IsMulticast():
			return p, fail("no connection can come from it")
		case a.IsLinkLocalUnicast() && a.Is6():
			return p, fail("it is link-local: give a global address")
		case a.Zone() != "":
			return p, fail("it has a zone: give a global address")
		case a.IsLoopback() && a.Is6():
			kind = loopback6
		case a.IsLoopback():
			kind = loopback4
		case a.Is6():
			kind = rest6
		}
		if slices.Contains(p[kind], a) {
			return p, fail("it is named twice")
		}
		if p[kind] = append(p[kind], a); len(p[kind]) > maxPool {
			return p, fail(fmt.Sprintf("more than %d of one kind", maxPool))
		}
	}
	return p, nil
}

// addressRecord is struct address of bpf/pool.h.
func addressRecord(a netip.Addr) (b [16]byte) {
	if a.Is4() {
		v := a.As4()
		copy(b[12:], v[:])
		return b
	}
	return a.As16()
}

func addressOf(b [16]byte, kind int) netip.Addr {
	if kind <= rest4 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}
