package tcpvet

import (
	"net/netip"
	"time"
)

// Socket is one TCP socket as a source saw it. A field that Known does not
// name was not told and means nothing.
type Socket struct {
	Known  Facts
	Netns  NetnsID
	State  State
	Mini   bool // a TIME-WAIT mini-socket: State is TimeWait, or FinWait2 that no process holds
	Role   Role
	Local  netip.AddrPort
	Remote netip.AddrPort // port 0 for LISTEN, and for BOUND-INACTIVE unless a reset left it

	// Interface is the index of the interface it is bound to, 0 for none.
	Interface uint32

	// RecvQ and SendQ are bytes: received and not read, sent and not
	// acknowledged. An unread FIN counts as 1. For LISTEN they are the
	// length and the limit of the accept queue, in connections.
	RecvQ, SendQ uint32

	Inode  uint64
	UID    uint32
	Cookie uint64
	Cgroup uint64
	Timer  Timer
	Info   TCPInfo

	// Holder is the process that holds it, and has started first of all
	// that do; the others are in SharedWith. See Process for its special
	// values.
	Holder     Process
	SharedWith []Process

	// Former is the process that closed it first, where nobody holds it any more
	// and that is remembered; Nobody elsewhere. It may have ended since, and is
	// Several where too many are.
	Former Process
}

// Owner is the process that holds the socket, else the one that closed it.
func (s *Socket) Owner() Process {
	if s.Holder == Nobody {
		return s.Former
	}
	return s.Holder
}

// Knows tells whether the source could tell all of want about this socket.
func (s *Socket) Knows(want Facts) bool { return s.Known&want == want }

// Role tells which end of a connection a socket is.
type Role uint8

// The roles. A listener is a server.
const (
	RoleUnknown Role = iota
	Client
	Server
)

// String gives the role's name, "unknown" where it was not worked out.
func (r Role) String() string {
	switch r {
	case Client:
		return "client"
	case Server:
		return "server"
	}
	return "unknown"
}

// Service is the endpoint that gives the connection its meaning: the remote
// one for a client, the local one for a server and for a socket that listens.
// IPv4-mapped IPv6 addresses become IPv4: they share its ports.
func (s *Socket) Service() netip.AddrPort {
	if s.Role == Client {
		return Unmap(s.Remote)
	}
	return Unmap(s.Local)
}

// Unmap gives ap with an IPv4-mapped IPv6 address made IPv4.
func Unmap(ap netip.AddrPort) netip.AddrPort {
	if ap.Addr().Is4In6() {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return ap
}

// TimerKind says which timer of a socket runs, numbered as sock_diag's
// idiag_timer numbers it.
type TimerKind uint8

// The timers.
const (
	TimerNone      TimerKind = 0
	TimerOn        TimerKind = 1 // retransmission, loss probe or reordering
	TimerKeepalive TimerKind = 2
	TimerTimeWait  TimerKind = 3
	TimerPersist   TimerKind = 4 // zero window probe
)

// String gives the timer's name as ss prints it, "off" for none.
func (k TimerKind) String() string {
	switch k {
	case TimerNone:
		return "off"
	case TimerOn:
		return "on"
	case TimerKeepalive:
		return "keepalive"
	case TimerTimeWait:
		return "timewait"
	case TimerPersist:
		return "persist"
	}
	return "unknown"
}

// Timer is the running timer of a socket.
type Timer struct {
	Kind        TimerKind
	Expires     time.Duration // until it ends, not below 0
	Retransmits uint8         // segments, probes or window probes sent in vain
}

// TCPInfo holds the fields of the kernel's struct tcp_info
// (include/uapi/linux/tcp.h) that tcpvet uses.
type TCPInfo struct {
	LastDataSent, LastDataRecv, LastAckRecv time.Duration // before now

	RTT, RTTVar, RTO   time.Duration
	Unacked, Lost      uint32 // segments
	Retrans            uint32 // segments now outstanding again
	TotalRetrans       uint32 // segments, since the connection opened
	Backoff, Probes    uint8
	SndCwnd            uint32
	BytesSent          uint64
	BytesAcked         uint64
	BytesReceived      uint64
	Timestamps, SACK   bool
	SndWScale          uint8
	RcvWScale          uint8
	SndMSS, RcvMSS     uint32
	NotSent            uint32 // bytes
	MinRTT             time.Duration
	BusyTime           time.Duration
	RwndLimited        time.Duration
	SndBufLimited      time.Duration
	DeliveryRateBytesS uint64
}
