package source

import "github.com/tcpvet/tcpvet"

// The range that Linux has unless it is told otherwise
// (Documentation/networking/ip-sysctl.rst, ip_local_port_range).
const (
	defaultLow  = 32768
	defaultHigh = 60999
)

// roles is an Observer that works out the role of each socket before it passes
// it on. It rests on listeners being told first.
type roles struct {
	tcpvet.Observer
	spaces map[tcpvet.NetnsID]*roleSpace
	last   *roleSpace
}

type roleSpace struct {
	id        tcpvet.NetnsID
	low, high uint16
	listening [1 << 16 / 64]uint64
}

func withRoles(o tcpvet.Observer) *roles {
	return &roles{Observer: o, spaces: make(map[tcpvet.NetnsID]*roleSpace)}
}

func (r *roles) space(id tcpvet.NetnsID) *roleSpace {
	if r.last != nil && r.last.id == id {
		return r.last
	}
	sp := r.spaces[id]
	if sp == nil {
		sp = &roleSpace{id: id, low: defaultLow, high: defaultHigh}
		r.spaces[id] = sp
	}
	r.last = sp
	return sp
}

// Netns keeps the port range.
func (r *roles) Netns(n tcpvet.Netns) {
	if n.Ports != nil {
		sp := r.space(n.ID)
		sp.low, sp.high = n.Ports.Low, n.Ports.High
	}
	r.Observer.Netns(n)
}

// Socket sets the role: a server's local port listens in its namespace, or lies
// outside of the local port range while the remote one lies inside. A listener
// that was closed shows in the connections that it accepted.
func (r *roles) Socket(s *tcpvet.Socket) error {
	sp := r.space(s.Netns)
	local, remote := s.Local.Port(), s.Remote.Port()
	switch {
	case s.State == tcpvet.Listen:
		sp.listening[local/64] |= 1 << (local % 64)
		s.Role = tcpvet.Server
	case s.State == tcpvet.BoundInactive:
		s.Role = tcpvet.RoleUnknown
	case sp.listening[local/64]&(1<<(local%64)) != 0, !sp.inside(local) && sp.inside(remote):
		s.Role = tcpvet.Server
	case remote >= sp.low && accepted(s):
		// connect() chooses no port that bind() holds, or held for what was
		// accepted since (kernel function __inet_hash_connect): nor are the
		// others on this port clients.
		sp.listening[local/64] |= 1 << (local % 64)
		s.Role = tcpvet.Server
	default:
		s.Role = tcpvet.Client
	}
	return r.Observer.Socket(s)
}

// accepted tells that the socket did not open its connection. bytes_acked counts a
// SYN of its own as one byte, and that which accept() gives begins behind it (kernel
// functions tcp_snd_una_update and tcp_create_openreq_child); bytes_sent counts data
// alone, what was sent again too. Some byte has to prove that the kernel counts at
// all, as it does since 4.1 and, of bytes_sent, 4.19. false proves nothing.
//
// A connection that was restored (TCP_REPAIR) has opened nothing either: so one to
// a service below the local port range is not asked.
func accepted(s *tcpvet.Socket) bool {
	if !s.Knows(tcpvet.FactInfo) {
		return false
	}
	i := &s.Info
	acked := i.BytesAcked
	switch s.State {
	case tcpvet.Established, tcpvet.CloseWait:
	case tcpvet.FinWait2:
		if acked == 0 {
			return false
		}
		acked-- // its FIN
	default:
		return false
	}
	return i.Unacked == 0 && i.TotalRetrans == 0 && acked == i.BytesSent && acked+i.BytesReceived > 0
}

func (sp *roleSpace) inside(port uint16) bool { return sp.low <= port && port <= sp.high }
