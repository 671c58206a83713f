package filter

import (
	"strconv"

	"github.com/tcpvet/tcpvet"
)

// Quantity is a number that a socket has.
type Quantity uint8

// The quantities.
const (
	RecvQ   Quantity = iota // bytes; of a listener, connections that wait for accept()
	SendQ                   // bytes; of a listener, the most connections that may wait
	Retrans                 // Timer.Retransmits
	UID
	Inode // 0: no descriptor
	Cookie
	Cgroup // cgroup 2 ID: the inode number of its directory
)

var quantities = [...]struct {
	word    string
	expects string
	limit   uint64 // the greatest value that it can have
	needs   tcpvet.Facts
}{
	RecvQ:   {"recvq", "a number of bytes", 1<<32 - 1, tcpvet.FactQueues | tcpvet.FactBacklog},
	SendQ:   {"sendq", "a number of bytes", 1<<32 - 1, tcpvet.FactQueues | tcpvet.FactBacklogMax},
	Retrans: {"retrans", "a number from 0 to 255", 255, tcpvet.FactTimer},
	UID:     {"uid", "a user ID in figures", 1<<32 - 1, tcpvet.FactUID},
	Inode:   {"inode", "an inode number", 1<<64 - 1, tcpvet.FactInode},
	Cookie:  {"cookie", "a cookie, decimal or 0x…", 1<<64 - 1, tcpvet.FactCookie},
	Cgroup:  {"cgroup", "a cgroup 2 ID: what stat -c %i prints for its directory", 1<<64 - 1, tcpvet.FactCgroup},
}

// String gives the quantity's word.
func (q Quantity) String() string { return quantities[min(q, Cgroup)].word }

// of gives the value; ok is false where the source did not tell it.
func (q Quantity) of(s *tcpvet.Socket) (v uint64, ok bool) {
	switch q {
	case RecvQ:
		if s.State == tcpvet.Listen {
			return uint64(s.RecvQ), s.Knows(tcpvet.FactBacklog)
		}
		return uint64(s.RecvQ), s.Knows(tcpvet.FactQueues)
	case SendQ:
		if s.State == tcpvet.Listen {
			return uint64(s.SendQ), s.Knows(tcpvet.FactBacklogMax)
		}
		return uint64(s.SendQ), s.Knows(tcpvet.FactQueues)
	case Retrans:
		return uint64(s.Timer.Retransmits), s.Knows(tcpvet.FactTimer)
	case UID:
		return uint64(s.UID), s.Knows(tcpvet.FactUID)
	case Inode:
		return s.Inode, s.Knows(tcpvet.FactInode)
	case Cookie:
		return s.Cookie, s.Knows(tcpvet.FactCookie)
	case Cgroup:
		return s.Cgroup, s.Knows(tcpvet.FactCgroup)
	}
	return 0, false
}

// Number holds for the sockets whose quantity compares so.
type Number struct {
	Of    Quantity
	Op    Op
	Value uint64
}

// Judge is Unknown where the source did not tell the quantity.
func (e Number) Judge(s *tcpvet.Socket) Truth {
	v, ok := e.Of.of(s)
	if !ok {
		return Unknown
	}
	return truth(compare(v, e.Op, e.Value))
}

func (Number) reach() reach          { return anywhere }
func (e Number) needs() tcpvet.Facts { return quantities[e.Of].needs }

func (e Number) String() string {
	return e.Of.String() + " " + e.Op.String() + " " + strconv.FormatUint(e.Value, 10)
}
