package tcpvet

import (
	"cmp"
	"net/netip"
	"time"
)

// Tuple is what local ports are counted against: connect() takes a port for
// one of these, and the same port serves any other. IPv4-mapped addresses are
// IPv4: they share its ports.
type Tuple struct {
	Netns  NetnsID
	Local  netip.Addr
	Remote netip.AddrPort
}

// Compare orders tuples by namespace, local address and remote endpoint.
func (t Tuple) Compare(o Tuple) int {
	return cmp.Or(cmp.Compare(t.Netns, o.Netns), t.Local.Compare(o.Local), t.Remote.Compare(o.Remote))
}

// Budget is what a Census knows of the local ports that one tuple has taken.
// Only sockets of clients whose port lies in the local port range count.
type Budget struct {
	// Taken counts ports by the state of their socket. A TIME-WAIT that
	// the kernel would reuse now is not in it but in ReusableTimeWait.
	Taken            [NumStates]uint32
	ReusableTimeWait uint32
	Reserved         uint32 // of Taken, those on reserved ports: chosen by bind(), not by connect()

	CloseWaitBorn, TimeWaitBorn Births
}

// Total is the number of ports taken.
func (b *Budget) Total() uint64 {
	var n uint64
	for _, c := range b.Taken {
		n += uint64(c)
	}
	return n
}

// Merge adds o to b.
func (b *Budget) Merge(o *Budget) {
	for s, c := range o.Taken {
		b.Taken[s] += c
	}
	b.ReusableTimeWait += o.ReusableTimeWait
	b.Reserved += o.Reserved
	b.CloseWaitBorn.merge(o.CloseWaitBorn)
	b.TimeWaitBorn.merge(o.TimeWaitBorn)
}

// Reuse tells when the kernel gives the port of a TIME-WAIT to a new
// connection: Documentation/networking/ip-sysctl.rst, tcp_tw_reuse and
// tcp_tw_reuse_delay; kernel function tcp_twsk_unique.
type Reuse struct {
	Mode  int           // 0 never, 1 always, 2 on loopback
	Delay time.Duration // the least age
}

// Allows tells whether the kernel would reuse the port of s now, provided that
// both ends use timestamps.
func (r Reuse) Allows(s *Socket) bool {
	const loopbackIndex = 1
	if s.State != TimeWait || !s.Knows(FactTimer) {
		return false
	}
	switch r.Mode {
	case 1:
	case 2:
		local, remote := s.Local.Addr().Unmap(), s.Remote.Addr().Unmap()
		if !local.IsLoopback() && !remote.IsLoopback() && s.Interface != loopbackIndex {
			return false
		}
	default:
		return false
	}
	age, ok := s.Age()
	return ok && age.Low >= r.Delay
}

// ReuseOf reads the settings of a namespace. ok is false where they are not
// known. Where timestamps are off now there is no reuse of what is opened now; the
// kernel goes by those of each connection, which no source tells.
func ReuseOf(n *Netns) (r Reuse, ok bool) {
	mode, ok1 := n.SysctlInt("net.ipv4.tcp_tw_reuse")
	stamps, ok2 := n.SysctlInt("net.ipv4.tcp_timestamps")
	if !ok1 || !ok2 {
		return Reuse{}, false
	}
	if stamps == 0 {
		return Reuse{}, true
	}
	delay, ok := n.SysctlInt("net.ipv4.tcp_tw_reuse_delay")
	if !ok {
		delay = 1000 // compiled in where the setting does not exist
	}
	return Reuse{Mode: int(mode), Delay: time.Duration(delay) * time.Millisecond}, true
}
