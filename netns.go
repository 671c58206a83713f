package tcpvet

import (
	"net/netip"
	"slices"
	"strconv"
)

// NetnsID is the inode of a network namespace in nsfs; 0 where it is not known.
type NetnsID uint64

// Netns is what a look learned of a network namespace.
type Netns struct {
	ID    NetnsID
	Names []string // file names of bind mounts, as of ip netns

	// Sysctls holds the settings below /proc/sys, by dotted name
	// ("net.ipv4.tcp_tw_reuse"); nil where they could not be read. A name
	// that the kernel does not have is missing.
	Sysctls map[string]string

	// Counters holds /proc/net/netstat, snmp, sockstat and sockstat6, by
	// the names of nstat ("TcpExtListenOverflows") or "sockstat.TCP.tw".
	Counters map[string]uint64

	Addresses []Address // nil where they could not be read
	Ports     *Ports    // nil where they could not be read
}

// Name gives the first name of the namespace, or its number.
func (n *Netns) Name() string {
	if len(n.Names) > 0 {
		return n.Names[0]
	}
	return strconv.FormatUint(uint64(n.ID), 10)
}

// Address is an address of an interface.
type Address struct {
	Prefix     netip.Prefix
	Interface  string
	Up         bool
	Tentative  bool // IFA_F_TENTATIVE: not usable as a source yet
	Deprecated bool // IFA_F_DEPRECATED: not chosen as a source
}

// Ports is where the kernel takes a local port from when connect() has to
// choose one: Documentation/networking/ip-sysctl.rst, ip_local_port_range and
// ip_local_reserved_ports.
type Ports struct {
	Low, High uint16 // both inclusive
	Reserved  PortSet
}

// Contains tells whether the port lies in the range, reserved or not.
func (p *Ports) Contains(port uint16) bool { return p.Low <= port && port <= p.High }

// Size is the number of ports in the range.
func (p *Ports) Size() int {
	if p.High < p.Low {
		return 0
	}
	return int(p.High) - int(p.Low) + 1
}

// ReservedInside is the number of reserved ports that lie in the range.
func (p *Ports) ReservedInside() int { return p.Reserved.Count(p.Low, p.High) }

// PortSet is a set of ports. The zero value is empty.
type PortSet struct{ spans []portSpan }

type portSpan struct{ low, high uint16 }

// Add puts the ports from low to high, both inclusive, into the set.
func (s *PortSet) Add(low, high uint16) {
	if high < low {
		return
	}
	i, _ := slices.BinarySearchFunc(s.spans, low, func(sp portSpan, low uint16) int {
		if int(sp.high)+1 < int(low) {
			return -1
		}
		return 1
	})
	j := i
	for j < len(s.spans) && int(s.spans[j].low) <= int(high)+1 {
		low, high = min(low, s.spans[j].low), max(high, s.spans[j].high)
		j++
	}
	s.spans = slices.Replace(s.spans, i, j, portSpan{low, high})
}

// Has tells whether the port is in the set.
func (s *PortSet) Has(port uint16) bool {
	_, ok := slices.BinarySearchFunc(s.spans, port, func(sp portSpan, port uint16) int {
		switch {
		case sp.high < port:
			return -1
		case sp.low > port:
			return 1
		}
		return 0
	})
	return ok
}

// Count is the number of ports of the set from low to high, both inclusive.
func (s *PortSet) Count(low, high uint16) int {
	n := 0
	for _, sp := range s.spans {
		if l, h := max(low, sp.low), min(high, sp.high); l <= h {
			n += int(h) - int(l) + 1
		}
	}
	return n
}

// Spans calls yield for each run of ports, in order.
func (s *PortSet) Spans(yield func(low, high uint16) bool) {
	for _, sp := range s.spans {
		if !yield(sp.low, sp.high) {
			return
		}
	}
}

// SysctlInt gives the number in a setting of the namespace; ok is false where
// it is not known or holds no single number.
func (n *Netns) SysctlInt(name string) (v int64, ok bool) {
	s, ok := n.Sysctls[name]
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil
}
