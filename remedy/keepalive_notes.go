package remedy

import (
	"fmt"
	"math"
	"time"

	"github.com/tcpvet/tcpvet"
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
	if c.Before.Timers.Keepalive {
		k.had++
	}
	if t := c.After.Timers; t.UserTimeout != k.timers.UserTimeout {
		if k.endEarly++; k.endEarly == 1 || t.Dead() < k.earliest.Dead() {
			k.earliest = t
		}
	}
}

// sentences says what the plan does, what it will not do, what it costs and its harm.
func (k *keepaliveNotes) sentences() (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	t := k.timers
	if k.sockets > 0 {
		say("An idle connection whose peer is gone ends %s after the peer's last segment: %s. Its port is free then; its descriptor only when the program closes it.", t.Dead(), k.how())
		k.userTimeouts(say)
		k.stays(say)
		say("It costs up to %s probes a second while all %d are idle, each of them a segment and its answer.", rate(k.sockets, t.Idle), k.sockets)
		// An outage that begins right before the first probe is due needs to last
		// for the probes only.
		say("Its harm: an outage of more than %s may end idle connections that would have outlived it, and one of more than %s ends them all.", t.Dead()-t.Idle, t.Dead())
		if k.had > 0 {
			say("%d of them had keepalive before, by their program or another: these values take the place of theirs, and one that has been silent for longer than %s is probed at once.", k.had, t.Idle)
		}
		say("Sockets that are opened from now on are not touched: tcpvet run gives a program's sockets keepalive as they begin, and --watch looks for new ones. A program may set its own values later, as Go does right after connect and accept (15s).")
	}
	if k.listeners > 0 {
		say("What %s from now on begins with these values, unless the program sets its own.", acceptors(k.listeners))
	}
	if k.sockets+k.listeners > 0 {
		say("Undo sets the values that were in effect, also where these came from net.ipv4.tcp_keepalive_time, _intvl and _probes: a later change of those does not reach such a socket.")
	}
	for _, why := range allLeftOut {
		if n := k.left[why]; n > 0 {
			say("Left out: %d %s.", n, why)
		}
	}
	return out
}

// how says by which timers an idle connection ends.
func (k *keepaliveNotes) how() string {
	t := k.timers
	if t.UserTimeout == 0 {
		return fmt.Sprintf("%s of silence, then %d probes %s apart", t.Idle, t.Count, t.Interval)
	}
	return fmt.Sprintf("%s of silence, then probes %s apart until the user timeout of %s is over", t.Idle, t.Interval, t.UserTimeout)
}

func (k *keepaliveNotes) userTimeouts(say func(string, ...any)) {
	t := k.timers
	count := t
	count.UserTimeout = 0
	if t.UserTimeout > 0 {
		say("The user timeout also ends a connection whose data are not acknowledged for %s, instead of after the retransmissions of net.ipv4.tcp_retries2 (about 15 min).", t.UserTimeout)
		if t.Dead() != count.Dead() {
			say("The two contradict each other: by idle, interval and count an idle connection would end after %s, and the user timeout takes the place of the count (tcp(7)), so it ends after %s. A user timeout of %s agrees with them.", count.Dead(), t.Dead(), count.Dead())
		}
		return
	}
	if k.endEarly > 0 {
		say("%d of them have a user timeout of their own, which stays and takes the place of the count: the first of them ends after %s (user timeout %s).", k.endEarly, k.earliest.Dead(), k.earliest.UserTimeout)
	}
}

// stays says what keepalive does not end.
func (k *keepaliveNotes) stays(say func(string, ...any)) {
	t := k.timers
	if n := k.states[tcpvet.CloseWait]; n > 0 {
		say("%d of them are in CLOSE-WAIT: only their program can close them, and the descriptors stay until it does. Where the peer has closed too, its end goes after its net.ipv4.tcp_fin_timeout (60 s by default), and a reset answers the next probe: the port is free within %s of that. Where it has only half closed (its end stays in FIN-WAIT-2) it answers every probe, and nothing ends.", n, t.Idle)
	}
	if n := k.states[tcpvet.FinWait2]; n > 0 {
		say("%d of them are in FIN-WAIT-2: the peer has yet to close, and while it lives it answers every probe, so these stay.", n)
	}
}

// rate says how many in so long are a second.
func rate(n int, d time.Duration) string {
	r := float64(n) / d.Seconds()
	if r < 10 {
		return fmt.Sprintf("%.1f", math.Ceil(r*10)/10)
	}
	return fmt.Sprintf("%.0f", math.Ceil(r))
}

func acceptors(listeners int) string {
	if listeners == 1 {
		return "the listener accepts"
	}
	return fmt.Sprintf("the %d listeners accept", listeners)
}
