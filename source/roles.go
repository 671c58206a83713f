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
// outside of the local port range while the remote one lies inside.
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
	default:
		s.Role = tcpvet.Client
	}
	return r.Observer.Socket(s)
}

func (sp *roleSpace) inside(port uint16) bool { return sp.low <= port && port <= sp.high }
