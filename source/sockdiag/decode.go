package sockdiag

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Where the fields of struct inet_diag_msg begin.
const (
	offFamily  = 0
	offState   = 1
	offTimer   = 2
	offRetrans = 3
	offSport   = 4 // network byte order, as dport
	offDport   = 6
	offSrc     = 8
	offDst     = 24
	offIf      = 40
	offCookie  = 44 // low word, high word
	offExpires = 52 // ms
	offRqueue  = 56
	offWqueue  = 60
	offUID     = 64
	offInode   = 68
)

// newSynRecv is TCP_NEW_SYN_RECV, a request's state inside the kernel.
const newSynRecv tcpvet.State = 12

// timerDelack is IDIAG_TIMER_DELACK, which only newer kernels have.
const timerDelack = 5

// Decode reads the payload of a message about a socket, struct inet_diag_msg
// and attributes, into s, whose former content is lost. It allocates nothing,
// ignores attributes that it does not know, and gives an error for lengths,
// address families and states that cannot be; s is then without meaning.
//
// Netns, Role, Holder and SharedWith are not the kernel's to tell here and
// stay zero. An IPv4-mapped address stays mapped.
//
// A merely bound socket may show a remote endpoint: it was connected once, the
// connection ended under it, and it still holds the port that bind() named.
func Decode(msg []byte, s *tcpvet.Socket) error {
	if len(msg) < replyLen {
		return fmt.Errorf("decode socket: %d bytes where inet_diag_msg has %d: %w", len(msg), replyLen, ErrTruncated)
	}
	*s = tcpvet.Socket{}

	var local, remote netip.Addr
	switch msg[offFamily] {
	case familyIPv4:
		local = netip.AddrFrom4([4]byte(msg[offSrc:]))
		remote = netip.AddrFrom4([4]byte(msg[offDst:]))
	case familyIPv6:
		local = netip.AddrFrom16([16]byte(msg[offSrc:]))
		remote = netip.AddrFrom16([16]byte(msg[offDst:]))
	default:
		return fmt.Errorf("decode socket: address family %d is neither IPv4 nor IPv6", msg[offFamily])
	}
	s.Local = netip.AddrPortFrom(local, binary.BigEndian.Uint16(msg[offSport:]))
	s.Remote = netip.AddrPortFrom(remote, binary.BigEndian.Uint16(msg[offDport:]))

	s.State = tcpvet.State(msg[offState])
	switch {
	case s.State == newSynRecv:
		s.State = tcpvet.SynRecv
	case s.State == tcpvet.Unconn && s.Local.Port() != 0:
		// CLOSED, and its port is still its own. Without a port it is a
		// connection that ended under the dump.
		s.State = tcpvet.BoundInactive
	case !tcpvet.AllStates.Has(s.State):
		return fmt.Errorf("decode socket: state %d is unknown", s.State)
	}

	s.Known = tcpvet.FactInode | tcpvet.FactMini
	s.RecvQ = binary.NativeEndian.Uint32(msg[offRqueue:])
	s.SendQ = binary.NativeEndian.Uint32(msg[offWqueue:])
	if s.State == tcpvet.Listen {
		s.Known |= tcpvet.FactBacklog | tcpvet.FactBacklogMax
	} else {
		s.Known |= tcpvet.FactQueues
	}

	s.Interface = binary.NativeEndian.Uint32(msg[offIf:])
	s.Inode = uint64(binary.NativeEndian.Uint32(msg[offInode:]))
	s.UID = binary.NativeEndian.Uint32(msg[offUID:])
	if s.Inode != 0 || s.UID != 0 {
		// For TIME-WAIT, for a request in SYN-RECV and, before Linux 6.17,
		// for any socket without a descriptor, 0 is not root but nothing.
		s.Known |= tcpvet.FactUID
	}

	s.Cookie = uint64(binary.NativeEndian.Uint32(msg[offCookie:])) |
		uint64(binary.NativeEndian.Uint32(msg[offCookie+4:]))<<32
	if s.Cookie != 0 {
		s.Known |= tcpvet.FactCookie
	}

	s.Mini = tcpvet.TimerKind(msg[offTimer]) == tcpvet.TimerTimeWait
	decodeTimer(msg, s)

	as := attributes{rest: msg[replyLen:]}
	for as.next() {
		switch as.kind {
		case attrInfo:
			if s.State == tcpvet.Listen {
				break // tcp_get_info puts the accept queue into fields of other meaning
			}
			if err := decodeInfo(as.value, &s.Info); err != nil {
				return err
			}
			s.Known |= tcpvet.FactInfo
		case attrCgroup:
			if len(as.value) != 8 {
				return fmt.Errorf("decode socket: cgroup ID has %d bytes, not 8", len(as.value))
			}
			s.Cgroup = binary.NativeEndian.Uint64(as.value)
			s.Known |= tcpvet.FactCgroup
		}
	}
	if as.err != nil {
		return fmt.Errorf("decode socket: %w", as.err)
	}
	return nil
}

// decodeTimer reads the timer. A kind that is unknown leaves FactTimer out.
func decodeTimer(msg []byte, s *tcpvet.Socket) {
	kind := msg[offTimer]
	switch {
	case kind == timerDelack:
		// A delayed ACK, 200 ms at most, shown where no other timer runs.
		// Older kernels say that none does, and so do we.
		s.Known |= tcpvet.FactTimer
		return
	case kind > uint8(tcpvet.TimerPersist):
		return
	}
	s.Known |= tcpvet.FactTimer
	s.Timer.Kind = tcpvet.TimerKind(kind)
	s.Timer.Retransmits = msg[offRetrans]
	// Older kernels let a timer that is due wrap below zero.
	if ms := int32(binary.NativeEndian.Uint32(msg[offExpires:])); ms > 0 {
		s.Timer.Expires = time.Duration(ms) * time.Millisecond
	}
}

// full tells whether the message is about a whole socket: neither TIME-WAIT
// nor a request. Only those have INET_DIAG_SHUTDOWN, whatever was asked for
// (inet_diag_msg_attrs_fill).
func full(msg []byte) bool {
	if len(msg) < replyLen {
		return false
	}
	as := attributes{rest: msg[replyLen:]}
	for as.next() {
		if as.kind == attrShutdown {
			return true
		}
	}
	return false
}
