package sourcetest

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
)

// Agree stages sockets as Conform does, looks at them by both sources, and
// checks that every socket which both see is the same to both, in each field
// that both know. The second looks right after the first.
func Agree(t *testing.T, a, b func(t *testing.T) source.Source) {
	t.Helper()
	st := newStage(t)
	for _, c := range st.agree(t, a, b) {
		t.Error(c)
	}
}

func (st *stage) agree(t *testing.T, a, b func(t *testing.T) source.Source) []string {
	t.Helper()
	la, wa := st.look(t, a)
	lb, wb := st.look(t, b)
	other := make(map[string]*tcpvet.Socket)
	for i := range wb.sockets {
		s := &wb.sockets[i]
		other[key(s.Local, s.Remote)] = s
	}
	both := 0
	for i := range wa.sockets {
		s := &wa.sockets[i]
		if o := other[key(s.Local, s.Remote)]; o != nil {
			both++
			la.same(lb, s, o)
		}
	}
	for _, s := range st.all {
		if la.shows(s) && lb.shows(s) {
			both--
		}
	}
	if both != 0 {
		la.errorf("of the sockets that both can see, one source or the other lacks some, or has %d more", both)
	}
	return append(wa.list, wb.list...)
}

// same compares what two looks know of a socket.
func (l *look) same(m *look, s, o *tcpvet.Socket) {
	differ := func(what string, x, y any) { l.errorf("%s: %s is %v and %v", ends(s), what, x, y) }
	if s.State != o.State {
		differ("state", s.State, o.State)
	}
	if s.Role != o.Role {
		differ("role", s.Role, o.Role)
	}
	known := s.Known & o.Known
	k := key(s.Local, s.Remote)
	moving := s.Timer.Kind == tcpvet.TimerOn || s.Timer.Kind == tcpvet.TimerPersist || !still(l.before[k], m.after[k])
	if known&(tcpvet.FactQueues|tcpvet.FactBacklog) != 0 && s.RecvQ != o.RecvQ {
		differ("Recv-Q", s.RecvQ, o.RecvQ)
	}
	if known&(tcpvet.FactQueues|tcpvet.FactBacklogMax) != 0 && s.SendQ != o.SendQ {
		differ("Send-Q", s.SendQ, o.SendQ)
	}
	if known.Has(tcpvet.FactInode) && s.Inode != o.Inode {
		differ("inode", s.Inode, o.Inode)
	}
	if known.Has(tcpvet.FactUID) && s.UID != o.UID {
		differ("user", s.UID, o.UID)
	}
	if known.Has(tcpvet.FactCookie) && s.Cookie != o.Cookie {
		differ("cookie", s.Cookie, o.Cookie)
	}
	if known.Has(tcpvet.FactCgroup) && s.Cgroup != o.Cgroup {
		differ("cgroup", s.Cgroup, o.Cgroup)
	}
	if known.Has(tcpvet.FactMini) && s.Mini != o.Mini {
		differ("mini", s.Mini, o.Mini)
	}
	if known.Has(tcpvet.FactTimer) && s.Timer.Kind != o.Timer.Kind && !moving {
		differ("timer", s.Timer.Kind, o.Timer.Kind)
	}
	apart := m.to.Sub(l.from) + max(l.slack(), m.slack())
	if ages, ok := s.Age(); ok {
		if age, ok := o.Age(); ok && (age.Low-ages.High > apart || ages.Low-age.High > apart) {
			differ("age", ages, age)
		}
	}
	if known.Has(tcpvet.FactInfo) && !moving {
		x, y := s.Info, o.Info
		for _, i := range []*tcpvet.TCPInfo{&x, &y} {
			i.LastDataSent, i.LastDataRecv, i.LastAckRecv = 0, 0, 0 // what of it matters is the age
			if x.RTT == 0 || y.RTT == 0 {
				i.RTTVar = 0 // ss prints neither
			}
			for _, d := range []*time.Duration{&i.BusyTime, &i.RwndLimited, &i.SndBufLimited} {
				*d = d.Truncate(time.Millisecond) // as ss does
			}
		}
		if x != y {
			differ("tcp_info", x, y)
		}
	}
	if l.facts&m.facts&tcpvet.FactHolders != 0 {
		if s.Holder.Known() != o.Holder.Known() {
			differ("holder", s.Holder, o.Holder)
		} else if len(s.SharedWith) == len(o.SharedWith) && s.Holder.PID != o.Holder.PID && l.precise() && m.precise() {
			differ("holder", s.Holder, o.Holder)
		}
	}
}
