package path

import (
	"time"

	"github.com/tcpvet/tcpvet/probe"
)

// settling is how long after the handshake what crosses still counts as the begin of a
// connection: a greeting, an answer to what was written.
const settling = 3 * time.Second

// lodger is a connection of a measurement.
type lodger struct {
	*connection
	step  time.Duration // for how long it is to be idle, 0 for until somebody asks
	due   time.Time     // when it is asked, where step is above 0
	spare bool
	fresh bool // it was opened to see whether the peer can be reached at all

	settled bool
	settleI uint32 // segments and bytes of the peer when it had settled
	settleH uint64

	told bool // that something is wrong with it was acted upon

	// Since it was asked:
	asked         time.Time
	before        moment // when the last segment crossed before that
	askedIn       uint32
	askedOut      uint32
	askedHeard    uint64
	sent          moment // when the first probe was seen to have gone; zero before
	silence       probe.Between
	quiet         probe.Between
	decided       bool
	outcome       probe.Fate
	brokenBy      int
	answeredAfter time.Duration
}

// attend looks at the connection and draws conclusions. The fates are final.
func (l *lodger) attend(timeout time.Duration) error {
	if l.decided {
		return nil
	}
	looked := l.seen
	if err := l.look(); err != nil {
		return err
	}
	now := time.Now()
	if !l.settled {
		l.due = l.crossed.last.by.Add(l.step)
		l.settleI, l.settleH = l.in, l.heard
		l.settled = now.Sub(l.opened.by) >= min(settling, max(l.step/2, Least/2))
	}
	if l.asked.IsZero() {
		if !l.ended.by.IsZero() {
			l.silence = l.crossed.before(l.ended).until(l.ended)
			l.conclude(l.fate)
		}
		return nil
	}
	// What acknowledges a FIN is no probe.
	finACK := !l.ended.by.IsZero() && l.fate == probe.Closed && l.out == l.askedOut+1
	if l.sent.by.IsZero() && l.out > l.askedOut && !finACK {
		l.sent = moment{after: later(l.asked, looked), by: now}
		l.silence.High = now.Sub(l.before.after) + l.rtt
	}
	switch {
	case !l.ended.by.IsZero():
		fate := l.fate
		if fate == probe.ResetIdle && !l.sent.by.IsZero() {
			fate = probe.ResetAsked
		}
		if l.sent.by.IsZero() {
			l.silence.High = l.ended.by.Sub(l.before.after)
		}
		l.conclude(fate)
	case l.heard > l.askedHeard:
		l.conclude(probe.Undecided)
	case l.sent.by.IsZero():
		if now.Sub(l.asked) > Least+timeout {
			l.conclude(probe.Undecided)
		}
	case l.in > l.askedIn && l.acked <= now.Sub(l.asked):
		l.answeredAfter = now.Sub(l.sent.after)
		l.conclude(probe.Answered)
	case now.Sub(l.sent.by) > timeout:
		l.conclude(probe.Silent)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (l *lodger) conclude(fate probe.Fate) {
	l.decided, l.outcome = true, fate
	end, said := l.ended, l.said.last
	if end.by.IsZero() {
		end = moment{after: l.asked, by: time.Now()}
	} else {
		said = l.said.before(end)
	}
	l.quiet = said.until(end)
	l.quiet.High += l.rtt
	if l.asked.IsZero() && l.inTo > l.settleI {
		l.brokenBy = int(l.inTo - l.settleI)
	}
}

// question asks, unless it has been or it cannot be asked yet.
func (l *lodger) question() error {
	if l.decided || !l.asked.IsZero() {
		return nil
	}
	l.asked = time.Now()
	l.before, l.askedIn, l.askedOut, l.askedHeard = l.crossed.last, l.in, l.out, l.heard
	l.brokenBy = int(l.in - l.settleI)
	l.silence.Low = max(l.asked.Sub(l.crossed.last.by)-l.rtt, 0)
	return l.ask()
}

// pending tells whether it was asked and there is no conclusion yet.
func (l *lodger) pending() bool { return !l.decided && !l.asked.IsZero() }

// suspect tells whether something is wrong with it: it was lost, or closed, or an
// answer is late.
func (l *lodger) suspect(late time.Duration) bool {
	if l.decided {
		return l.outcome != probe.Answered && l.outcome != probe.Undecided
	}
	return !l.sent.by.IsZero() && time.Since(l.sent.by) > max(late, 4*l.rtt)
}

// trial gives what is told of it, in a measurement that began then.
func (l *lodger) trial(begin time.Time) probe.Trial {
	t := probe.Trial{
		Local: l.local, Fate: l.outcome, Silence: l.silence, Quiet: l.quiet, Broken: l.brokenBy, Errno: l.errno,
	}
	if at := l.ended.by; l.asked.IsZero() && !at.IsZero() {
		t.At = at.Sub(begin)
	} else {
		t.At = l.asked.Sub(begin)
	}
	if !l.sent.by.IsZero() {
		t.Probes = int(l.out - l.askedOut)
	}
	return t
}

// close ends it in order, but where nobody would answer: what was lost, and on a way
// that forgets what nobody has asked.
func (l *lodger) close(forgets bool) {
	switch {
	case l.decided && l.outcome != probe.Answered && l.outcome != probe.Closed && l.outcome != probe.Undecided,
		!l.decided && forgets:
		l.abandon()
	default:
		l.tcp.Close()
	}
}
