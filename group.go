package tcpvet

import (
	"cmp"
	"net/netip"
	"time"
)

// Group is who holds what toward which service: the key under which a Census
// counts sockets. State, kind and age are values of a group.
type Group struct {
	Netns   NetnsID
	Holder  Process // Nobody, Unseen and Several have their own meaning
	Role    Role
	Local   netip.Addr     // the local address, IPv4-mapped made IPv4; the zero Addr in a folded group
	Service netip.AddrPort // Socket.Service; the zero AddrPort ("other") in a folded group
	Former  Process        // Socket.Former
}

// Owner is the process that holds the sockets, else the one that closed them.
func (g Group) Owner() Process {
	if g.Holder == Nobody {
		return g.Former
	}
	return g.Holder
}

// Folded tells whether the group stands for many services.
func (g Group) Folded() bool { return !g.Service.IsValid() }

// IdleTally holds how long sockets in ESTAB have been idle, by keepalive.
type IdleTally struct{ KeepaliveOn, KeepaliveOff, Unknown Histogram }

// Vague counts sockets in CLOSE-WAIT whose age is not exact, by what may have
// moved the time that dates the FIN. Where the timers are not known it can be
// either, so that Probed and Written are less than Total.
type Vague struct {
	Total   uint32
	Probed  uint32 // the keepalive timer runs: the answer to a probe
	Written uint32 // it does not, and data was sent since the last that came in: its acknowledgement, if that was after the FIN
}

func (v *Vague) add(s *Socket) {
	v.Total++
	if !s.Knows(FactTimer) {
		return
	}
	switch {
	case s.Timer.Kind == TimerKeepalive:
		v.Probed++
	case s.Info.LastDataSent < s.Info.LastDataRecv:
		v.Written++
	}
}

func (v *Vague) merge(o Vague) {
	v.Total += o.Total
	v.Probed += o.Probed
	v.Written += o.Written
}

// Births counts sockets that entered a state shortly before the look. Those
// whose age is not known are in neither.
type Births struct{ Last10s, Last60s uint32 }

// Add counts one that entered its state d ago.
func (b *Births) Add(d time.Duration) {
	if d <= 60*time.Second {
		b.Last60s++
		if d <= 10*time.Second {
			b.Last10s++
		}
	}
}

// Exemplar is one socket of many, named so that it can be looked up.
type Exemplar struct {
	Local, Remote netip.AddrPort
	Cookie, Inode uint64
	Age           Age
}

func (b *Births) merge(o Births) { b.Last10s += o.Last10s; b.Last60s += o.Last60s }

func older(a, b *Exemplar) *Exemplar {
	if a == nil || b != nil && b.older(a) {
		return b
	}
	return a
}

// older orders exemplars by age, and those of one age by what tells them apart:
// which is shown must not depend on the order in which groups are summed up.
func (e *Exemplar) older(o *Exemplar) bool {
	return cmp.Or(
		cmp.Compare(e.Age.Low, o.Age.Low),
		cmp.Compare(e.Age.High, o.Age.High),
		o.Local.Compare(e.Local),
		o.Remote.Compare(e.Remote),
		cmp.Compare(o.Cookie, e.Cookie),
	) > 0
}

func exemplar(s *Socket, age Age) *Exemplar {
	return &Exemplar{Local: s.Local, Remote: s.Remote, Cookie: s.Cookie, Inode: s.Inode, Age: age}
}
