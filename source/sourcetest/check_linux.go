package sourcetest

import (
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// perSocket holds the facts that Socket.Known speaks of.
const perSocket = tcpvet.FactQueues | tcpvet.FactBacklog | tcpvet.FactBacklogMax | tcpvet.FactInode | tcpvet.FactUID |
	tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactCgroup | tcpvet.FactMini

// look is one look at a stage, and what the kernel said before and after it.
type look struct {
	*complaints
	st            *stage
	facts         tcpvet.Facts
	before, after map[string]told
	from, to      time.Time // the moments before and after
	cgroup        uint64    // 0 where that is not known
}

// precise tells that the source speaks for itself and not by what a command
// printed, which rounds, and which starts a process before it looks.
func (l *look) precise() bool { return l.facts.Has(tcpvet.FactNetns) }

// shows tells whether the source has to tell of a socket at all. One that cannot
// see TIME-WAIT goes by descriptors.
func (l *look) shows(w *staged) bool {
	switch {
	case w.state == tcpvet.BoundInactive:
		return l.facts.Has(tcpvet.FactBound)
	case w.state == tcpvet.Listen && !l.facts.Has(tcpvet.FactListeners):
		return false
	}
	return w.held() || l.facts.Has(tcpvet.FactTimeWait)
}

// needs gives what the source must tell of a socket, by its facts.
func (l *look) needs(w *staged) tcpvet.Facts {
	need := tcpvet.FactTimer | tcpvet.FactMini
	if w.state == tcpvet.Listen {
		need |= tcpvet.FactBacklog | tcpvet.FactBacklogMax
	} else {
		need |= tcpvet.FactQueues
	}
	if w.held() {
		need |= tcpvet.FactInode | tcpvet.FactUID | tcpvet.FactCgroup
		if w.state != tcpvet.Listen && w.state != tcpvet.BoundInactive {
			need |= tcpvet.FactInfo
		}
	}
	if w.cookie != 0 {
		need |= tcpvet.FactCookie
	}
	return need & l.facts
}

func (l *look) socket(w *staged, s *tcpvet.Socket) {
	if s.State != w.state {
		l.wrong(w, "state", s.State, w.state)
		return
	}
	if missing := l.needs(w) &^ s.Known; missing != 0 {
		l.errorf("%s: %v is not known", w.name, missing)
	}
	if more := s.Known & perSocket &^ l.facts; more != 0 {
		l.errorf("%s: %v is known, which the source says that it cannot tell", w.name, more)
	}
	if s.Role != w.role {
		l.wrong(w, "role", s.Role, w.role)
	}
	if s.Interface != 0 && s.Interface != w.ifindex || l.precise() && l.facts.Has(tcpvet.FactCookie) && s.Interface != w.ifindex {
		l.wrong(w, "interface", s.Interface, w.ifindex)
	}
	if s.Knows(tcpvet.FactMini) && s.Mini != w.mini {
		l.wrong(w, "mini", s.Mini, w.mini)
	}
	if s.Knows(tcpvet.FactInode) && s.Inode != w.inode {
		l.wrong(w, "inode", s.Inode, w.inode)
	}
	if s.Knows(tcpvet.FactUID) && s.UID != w.uid {
		l.wrong(w, "user", s.UID, w.uid)
	}
	if s.Knows(tcpvet.FactCookie) && w.cookie != 0 && s.Cookie != w.cookie {
		l.wrong(w, "cookie", s.Cookie, w.cookie)
	}
	if s.Knows(tcpvet.FactCgroup) && l.cgroup != 0 && s.Cgroup != l.cgroup && w.held() {
		l.wrong(w, "cgroup", s.Cgroup, l.cgroup)
	}
	l.unknown(w, s)
	l.queues(w, s)
	l.timer(w, s)
	l.age(w, s)
	l.holder(w, s)
	if s.Knows(tcpvet.FactInfo) && w.held() {
		k := key(w.local, w.remote)
		l.info(w, &s.Info, l.before[k], l.after[k])
	}
}

func (l *look) wrong(w *staged, what string, got, want any) {
	l.errorf("%s: %s is %v, not %v", w.name, what, got, want)
}

// unknown checks that what is not known is zero.
func (l *look) unknown(w *staged, s *tcpvet.Socket) {
	zero := func(fact tcpvet.Facts, isZero bool) {
		if s.Known&fact == 0 && !isZero {
			l.errorf("%s: %v is not known and not zero", w.name, fact)
		}
	}
	zero(tcpvet.FactQueues|tcpvet.FactBacklog, s.RecvQ == 0)
	zero(tcpvet.FactQueues|tcpvet.FactBacklogMax, s.SendQ == 0)
	zero(tcpvet.FactInode, s.Inode == 0)
	zero(tcpvet.FactUID, s.UID == 0)
	zero(tcpvet.FactCookie, s.Cookie == 0)
	zero(tcpvet.FactCgroup, s.Cgroup == 0)
	zero(tcpvet.FactTimer, s.Timer == tcpvet.Timer{})
	zero(tcpvet.FactInfo, s.Info == tcpvet.TCPInfo{})
}

func (l *look) queues(w *staged, s *tcpvet.Socket) {
	k := key(w.local, w.remote)
	b, a := l.before[k], l.after[k]
	between := func(what string, got, b, a, add uint32) {
		if low, high := min(a, b)+add, max(a, b)+add; got < low || got > high {
			l.errorf("%s: %s is %d, and the kernel says %d and %d", w.name, what, got, b+add, a+add)
		}
	}
	if s.Known&(tcpvet.FactQueues|tcpvet.FactBacklog) != 0 {
		between("Recv-Q", s.RecvQ, b.in, a.in, w.recvQ)
	}
	if s.Known&(tcpvet.FactQueues|tcpvet.FactBacklogMax) != 0 {
		between("Send-Q", s.SendQ, b.out, a.out, w.sendQ)
	}
	kind := tcpvet.NoCloseWaitKind
	if w.state == tcpvet.CloseWait && s.Knows(tcpvet.FactQueues) {
		switch {
		case w.recvQ == 0:
			kind = tcpvet.ReadNotClosed
		case b.in == 0:
			kind = tcpvet.NeverRead
		default:
			kind = tcpvet.Undrained
		}
	}
	if s.CloseWaitKind() != kind {
		l.wrong(w, "kind of CLOSE-WAIT", s.CloseWaitKind(), kind)
	}
}

func (l *look) timer(w *staged, s *tcpvet.Socket) {
	if !s.Knows(tcpvet.FactTimer) {
		return
	}
	t := s.Timer
	k := key(w.local, w.remote)
	between := t.Kind == tcpvet.TimerNone && !still(l.before[k], l.after[k]) // it has run out, and is not set again yet
	if !slices.Contains(w.timer, t.Kind) && !between {
		l.wrong(w, "timer", t.Kind, w.timer)
	}
	if t.Expires < 0 || t.Kind == tcpvet.TimerNone && t != (tcpvet.Timer{}) {
		l.errorf("%s: timer %+v", w.name, t)
	}
	if t.Kind == tcpvet.TimerKeepalive && (t.Expires > 2*time.Hour || t.Expires < 2*time.Hour-2*time.Minute) {
		l.errorf("%s: keepalive probes begin in %v, and tcp_keepalive_time is 2 h", w.name, t.Expires) // ss prints minutes
	}
	if on, known := s.Keepalive(); w.keepalive != "" && (!known || on != (w.keepalive == "on")) {
		l.errorf("%s: keepalive is %v (known: %v), not %s", w.name, on, known, w.keepalive)
	}
}

// slack is how far an age may be off: a tick of the kernel's clock, or the
// second to which a command rounds.
func (l *look) slack() time.Duration {
	if l.precise() {
		return 20 * time.Millisecond
	}
	return 1100 * time.Millisecond
}

func (l *look) age(w *staged, s *tcpvet.Socket) {
	age, ok := s.Age()
	switch {
	case w.since.IsZero():
		return
	case w.state == tcpvet.TimeWait && !s.Knows(tcpvet.FactTimer), w.state != tcpvet.TimeWait && !s.Knows(tcpvet.FactInfo):
		if ok {
			l.errorf("%s: age is %+v, and nothing tells it", w.name, age)
		}
		return
	case !ok:
		l.errorf("%s: its age is not known", w.name)
		return
	}
	least, most := l.from.Sub(w.until)-l.slack(), l.to.Sub(w.since)+l.slack()
	if age.High < least || age.Low > most || age.Low > age.High {
		l.errorf("%s: it has been so for %v to %v, not %v to %v", w.name, age.Low, age.High, least, most)
	}
}

func (l *look) holder(w *staged, s *tcpvet.Socket) {
	want := []tcpvet.Process{}
	if w.held() {
		want = append(want, l.st.self)
	}
	if w.shared {
		want = append(want, l.st.child)
	}
	var got []tcpvet.Process
	if s.Holder.Known() {
		got = append([]tcpvet.Process{s.Holder}, s.SharedWith...)
	} else if len(s.SharedWith) > 0 {
		l.errorf("%s: nobody holds it, with others: %v", w.name, s.SharedWith)
	}
	switch {
	case !l.facts.Has(tcpvet.FactHolders) || !w.held():
		nobody := s.Knows(tcpvet.FactInode) && s.Inode == 0
		if s.Holder.Known() || nobody && s.Holder != tcpvet.Nobody || w.held() && s.Holder != tcpvet.Unseen {
			l.errorf("%s: its holder is %v (inode %d)", w.name, s.Holder, s.Inode)
		}
	case l.precise():
		// The child started last.
		if !slices.Equal(got, want) {
			l.wrong(w, "holders", got, want)
		}
	default:
		// A command knows no start times, and may name one of several.
		for _, p := range got {
			if !slices.ContainsFunc(want, func(q tcpvet.Process) bool { return p == tcpvet.Process{PID: q.PID} }) {
				l.errorf("%s: process %v does not hold it", w.name, p)
			}
		}
		if len(got) == 0 {
			l.errorf("%s: its holder is %v", w.name, s.Holder)
		}
	}
}
