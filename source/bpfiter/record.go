package bpfiter

import (
	"fmt"
	"math"
	"time"

	"github.com/tcpvet/tcpvet"
)

// recordLen is the size of struct record in bpf/record.h.
const recordLen = 224

// Flags of a record.
const (
	flagMini   = 1 << iota
	flagShared // other descriptors may hold it too
	flagInfo
	flagTold // by a process that started meanwhile, and the pass has been at it
	flagNoRoom
	flagMPTCP // holds an MPTCP socket (Held), or is a subflow of one (Rest)

	allFlags = 1<<iota - 1
)

// record is a socket as a program tells it, with what its Socket does not hold.
type record struct {
	tcpvet.Socket
	flags uint8
	born  uint64 // of the holder, ns after boot
}

// decodeRecord reads a struct record. hz is the kernel's ticks a second. It
// gives an error for lengths, families, states, timers, roles and flags that
// cannot be.
func decodeRecord(b []byte, hz uint32, r *record) error {
	if len(b) != recordLen {
		return fmt.Errorf("decode record: %d bytes, not %d", len(b), recordLen)
	}
	*r = record{}
	s, i := &r.Socket, &r.Socket.Info
	c := cursor(b)
	s.Cookie, s.Inode, s.Cgroup = c.u64(), c.u64(), c.u64()
	start := c.u64()
	r.born = c.u64()
	i.BytesSent, i.BytesAcked, i.BytesReceived = c.u64(), c.u64(), c.u64()
	local, remote := c.addr(), c.addr()
	s.Netns = tcpvet.NetnsID(c.u32())
	s.UID, s.Interface, s.RecvQ, s.SendQ = c.u32(), c.u32(), c.u32(), c.u32()
	s.Timer.Expires = c.ms()
	i.LastDataSent, i.LastDataRecv, i.LastAckRecv = c.ms(), c.ms(), c.ms()
	i.Unacked, i.Lost, i.Retrans, i.TotalRetrans = c.u32(), c.u32(), c.u32(), c.u32()
	i.SndCwnd = c.u32()
	i.RTT, i.RTTVar = microseconds(c.u32()), microseconds(c.u32())
	i.RTO = ticks(c.u32(), hz)
	if min := c.u32(); min != math.MaxUint32 { // the kernel's "no sample yet"
		i.MinRTT = microseconds(min)
	}
	i.SndMSS, i.RcvMSS, i.NotSent = c.u32(), c.u32(), c.u32()
	busy, window, buffer := ticks(c.u32(), hz), ticks(c.u32(), hz), ticks(c.u32(), hz)
	i.BusyTime, i.RwndLimited, i.SndBufLimited = busy+window+buffer, window, buffer
	if delivered, interval := c.u32(), c.u32(); interval != 0 {
		i.DeliveryRateBytesS = uint64(delivered) * uint64(i.SndMSS) * 1e6 / uint64(interval)
	}
	s.Holder = tcpvet.Process{PID: int32(c.u32()), Start: start}
	c.skip(4) // the descriptor
	lport, rport := c.u16(), c.u16()
	family := c.u8()
	s.State = tcpvet.State(c.u8())
	s.Timer.Kind, s.Timer.Retransmits = tcpvet.TimerKind(c.u8()), c.u8()
	i.Backoff, i.Probes = c.u8(), c.u8()
	options, scales := c.u8(), c.u8()
	i.Timestamps, i.SACK = options&1 != 0, options&2 != 0
	i.SndWScale, i.RcvWScale = scales&0xf, scales>>4
	r.flags = c.u8()
	s.Role = tcpvet.Role(c.u8())

	switch {
	case family != familyIPv4 && family != familyIPv6:
		return fmt.Errorf("decode record: address family %d is neither IPv4 nor IPv6", family)
	case !tcpvet.AllStates.Has(s.State) || s.State == tcpvet.Unconn:
		return fmt.Errorf("decode record: state %d is unknown", s.State)
	case s.Timer.Kind > tcpvet.TimerPersist:
		return fmt.Errorf("decode record: timer %d is unknown", s.Timer.Kind)
	case s.Role > tcpvet.Server:
		return fmt.Errorf("decode record: role %d is unknown", s.Role)
	case r.flags > allFlags:
		return fmt.Errorf("decode record: flags %#x are unknown", r.flags)
	}
	s.Local = endpoint(family, local, lport)
	s.Remote = endpoint(family, remote, rport)
	s.Mini = r.flags&flagMini != 0
	s.Known = tcpvet.FactInode | tcpvet.FactMini | tcpvet.FactTimer
	if s.State == tcpvet.Listen {
		s.Known |= tcpvet.FactBacklog | tcpvet.FactBacklogMax
	} else {
		s.Known |= tcpvet.FactQueues
	}
	if s.Inode != 0 || s.UID != 0 {
		s.Known |= tcpvet.FactUID // else 0 is not root but nothing
	}
	if s.Cookie != 0 {
		s.Known |= tcpvet.FactCookie
	}
	if s.Cgroup != 0 {
		s.Known |= tcpvet.FactCgroup
	}
	if r.flags&flagInfo != 0 {
		s.Known |= tcpvet.FactInfo
	} else {
		s.Info = tcpvet.TCPInfo{} // of an earlier socket
	}
	return nil
}

func microseconds(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }

func ticks(n, hz uint32) time.Duration {
	return time.Duration(uint64(n) * uint64(time.Second) / uint64(max(hz, 1)))
}
