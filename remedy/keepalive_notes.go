package remedy

import (
	"fmt"
	"math"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/vet"
)

// leftOut is a reason why sockets that were selected are no part of a plan.
type leftOut string

const (
	leftTimeWait  leftOut = "in TIME-WAIT: nothing is sent there any more, and 60 s end it"
	leftClosing   leftOut = "closed by their program already: the kernel ends them by itself"
	leftHandshake leftOut = "in SYN-RECV: they take over what their listener has"
	leftListener  leftOut = "listening: --listeners takes them too, so that what they accept from then on has keepalive"
	leftBound     leftOut = "bound only: there is no connection yet"
	leftOwn       leftOut = "of tcpvet itself"
	leftUnnamed   leftOut = "without a cookie by which they could be known again"
)

// allLeftOut is the order in which they are told.
var allLeftOut = [...]leftOut{leftListener, leftTimeWait, leftClosing, leftHandshake, leftBound, leftOwn, leftUnnamed}

// keepaliveNotes counts what a plan is about, and says what it means.
type keepaliveNotes struct {
	timers    tcpvet.Timers // without a user timeout that of each socket stays
	sockets   int           // that are to be changed
	had       int           // of these, with keepalive before
	spread    bool          // their idle times lie apart
	earlier   int           // of those, that had a longer idle time
	perSecond float64       // probes, while all of them are idle
	watch     bool          // new sockets get it too
	states    map[tcpvet.State]int
	endEarly  int             // with a user timeout of their own that takes the place of the count
	earliest  tcpvet.Timers   // of those the one that is ended first
	listeners int             // of sockets
	left      map[leftOut]int // no part of the plan
}

func (k *keepaliveNotes) leave(why leftOut) {
	if k.left == nil {
		k.left = make(map[leftOut]int)
	}
	k.left[why]++
}

// count takes a change of the plan that is to be made.
func (k *keepaliveNotes) count(c *tcpvet.Change) {
	if c.Outcome != tcpvet.OutcomePlanned {
		return
	}
	if c.Target.State == tcpvet.Listen {
		k.listeners++
		return
	}
	if k.states == nil {
		k.states = make(map[tcpvet.State]int)
	}
	k.sockets++
	k.states[c.Target.State]++
	t := c.After.Timers
	if c.Before.Timers.Keepalive {
		k.had++
		if t.Idle < c.Before.Timers.Idle {
			k.earlier++
		}
	}
	k.spread = k.spread || t.Idle != k.timers.Idle
	k.perSecond += 1 / probePause(t).Seconds()
	if t.UserTimeout != k.timers.UserTimeout {
		if k.endEarly++; k.endEarly == 1 || t.Dead() < k.earliest.Dead() {
			k.earliest = t
		}
	}
}

// probePause is how long an idle connection goes without a probe, where the peer answers
// (kernel function tcp_keepalive_timer).
func probePause(t tcpvet.Timers) time.Duration { return max(t.Idle, t.Interval) }

// tooMany tells that the probes of some may all be dropped on the way to a peer on this
// host.
func (k *keepaliveNotes) tooMany() bool { return tooMany(k.sockets, k.timers) }

// sentences says what the plan does, what it will not do, what it costs and its harm.
func (k *keepaliveNotes) sentences() (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	t := k.timers
	if k.sockets > 0 {
		say("It ends an idle connection whose peer is gone, about %s after the peer was last heard: %s. The port is free then; the descriptor only when the program closes it.", vet.Duration(t.Dead()), k.how())
		k.userTimeouts(say)
		k.stays(say)
		k.costs(say)
		say("Its harm: %s can end idle connections that would have outlived it, and one of more than %s ends them all.", outage(t), vet.Duration(t.Dead()-t.Idle+probePause(t)))
		if k.tooMany() {
			say("They are so many that peers on this host (loopback, veth) may lose all probes of some, which are then ended though nothing is wrong with them: a queue takes %s at once (net.core.netdev_max_backlog). A longer --idle or a higher --count allows more of them.", tcpvet.Thousands(backlog))
		}
		if k.had > 0 {
			say("%s of them had keepalive before: these values take the place of theirs.%s", tcpvet.Thousands(k.had), k.fromNow())
		}
		say("%s A program may set its own values later, as Go does right after connect and accept (15 s).", k.later())
	}
	if k.listeners > 0 {
		say("What %s from now on begins with these values, unless the program sets its own.", acceptors(k.listeners))
	}
	if k.sockets+k.listeners > 0 {
		say("Undo gives each socket the values that it has now; a later change of net.ipv4.tcp_keepalive_time, _intvl and _probes does not reach it then.")
	}
	for _, why := range allLeftOut {
		if n := k.left[why]; n > 0 {
			say("Left out: %s %s.", tcpvet.Thousands(n), why)
		}
	}
	return out
}

// fromNow says of sockets whose idle time gets shorter when they are probed first.
func (k *keepaliveNotes) fromNow() string {
	if k.earlier == 0 {
		return ""
	}
	return " Where the idle time gets shorter the silence counts from now, so that those that are silent already are not probed all at once."
}

// costs says how many probes there will be.
func (k *keepaliveNotes) costs(say func(string, ...any)) {
	apart := ""
	if k.spread {
		apart = fmt.Sprintf(" So that they do not come all at once, each socket has an idle time of its own, from %s to %s.", vet.Duration(k.timers.Idle-time.Duration(idleSteps(k.timers.Idle)-1)*time.Second), vet.Duration(k.timers.Idle))
	}
	say("It costs up to %s a second while all %s are idle, each of them a segment and its answer.%s", rate(k.perSecond), tcpvet.Thousands(k.sockets), apart)
}

// outage words the shortest that ends a connection: it begins right before the first
// probe, and lasts until the last one is lost.
func outage(t tcpvet.Timers) string {
	if d := t.Dead() - t.Idle - t.Interval; d > 0 {
		return fmt.Sprintf("an outage of more than %s", vet.Duration(d))
	}
	return "an outage that one probe is lost in"
}

// how says by which timers an idle connection ends.
func (k *keepaliveNotes) how() string {
	t := k.timers
	if t.UserTimeout == 0 {
		return fmt.Sprintf("%s of silence, then %d probes %s apart", vet.Duration(t.Idle), t.Count, vet.Duration(t.Interval))
	}
	return fmt.Sprintf("%s of silence, then probes %s apart until the user timeout of %s is over", vet.Duration(t.Idle), vet.Duration(t.Interval), vet.Duration(t.UserTimeout))
}

func (k *keepaliveNotes) userTimeouts(say func(string, ...any)) {
	t := k.timers
	count := t
	count.UserTimeout = 0
	if t.UserTimeout > 0 {
		say("The user timeout also ends a connection whose data are not acknowledged for %s, instead of after the retransmissions of net.ipv4.tcp_retries2 (about 15 min), and one whose peer leaves data unread for as long with its window closed, although its kernel answers.", vet.Duration(t.UserTimeout))
		if t.Dead() != count.Dead() {
			say("The two contradict each other: by idle, interval and count an idle connection would end after %s, and the user timeout takes the place of the count (tcp(7)), so it ends after %s. A user timeout of %s agrees with them.", vet.Duration(count.Dead()), vet.Duration(t.Dead()), vet.ShellDuration(count.Dead()))
		}
		return
	}
	if k.endEarly > 0 {
		say("%s of them have a user timeout of their own, which stays and takes the place of the count: the first of them ends after %s (user timeout %s).", tcpvet.Thousands(k.endEarly), vet.Duration(k.earliest.Dead()), vet.Duration(k.earliest.UserTimeout))
	}
}

// stays says what keepalive does not end.
func (k *keepaliveNotes) stays(say func(string, ...any)) {
	if n := k.states[tcpvet.CloseWait]; n > 0 {
		say("%s of them are in CLOSE-WAIT, which only their program can close. Where the peer has closed for good, its kernel forgets the connection after its net.ipv4.tcp_fin_timeout (60 s by default) and answers the next probe with a reset: the port is free about %s after that, or from now if that is over. Where the peer has only half closed it answers every probe, and nothing ends.", tcpvet.Thousands(n), vet.Duration(probePause(k.timers)))
	}
	if n := k.states[tcpvet.FinWait2]; n > 0 {
		say("%s of them are in FIN-WAIT-2: the peer has yet to close, and while it lives it answers every probe, so these stay.", tcpvet.Thousands(n))
	}
}

// later says what becomes of new sockets.
func (k *keepaliveNotes) later() string {
	if k.watch {
		return "Sockets that are opened from now on get it too, while this watches."
	}
	return "Sockets that are opened from now on are not touched: tcpvet run and --watch are for those."
}

// rate says how many probes a second there are, rounded up: below ten to a tenth.
func rate(r float64) string {
	const sum = 1e-6 // as much as adding them may have put on top
	if tenths := math.Ceil((r - sum) * 10); tenths < 100 && tenths != 10 {
		return fmt.Sprintf("%.1f probes", tenths/10)
	}
	if n := int(math.Ceil(r - sum)); n != 1 {
		return tcpvet.Thousands(n) + " probes"
	}
	return "1 probe"
}

func acceptors(listeners int) string {
	if listeners == 1 {
		return "the listener accepts"
	}
	return fmt.Sprintf("the %s listeners accept", tcpvet.Thousands(listeners))
}
