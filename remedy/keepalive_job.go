package remedy

import (
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// timersJob asks for the timers of one socket, or sets them, and holds the answer.
type timersJob struct {
	target *tcpvet.Target
	to     tcpvet.Timers
	set    timersSet // which of them; 0 only asks

	// An idle time that gets shorter begins now. Else it counts from the last
	// segment, but for one that is over by that.
	fromNow bool

	silent time.Duration // since the last segment, of a descriptor that was borrowed

	answer timersAnswer
	now    tcpvet.Timers // where it is answered
	state  tcpvet.State  // where it is closed, of what the kernel still has of it
	err    error         // where it is refused or failed
}

type timersAnswer uint8

const (
	unanswered timersAnswer = iota // no way led to the socket
	answered
	closed  // there is no such socket any more, or what is left of it has no timers
	refused // nothing of it was changed
	failed  // something of it may have been
)

// timersSet is a set of timers, numbered as in bpf/keepalive.bpf.c.
type timersSet uint32

const (
	setKeepalive timersSet = 1 << iota
	setIdle
	setInterval
	setCount
	setUserTimeout
	setFromNow // no timer: see timersJob
)

// String gives the option of the one that is set.
func (s timersSet) String() string {
	switch s {
	case setKeepalive:
		return "SO_KEEPALIVE"
	case setIdle:
		return "TCP_KEEPIDLE"
	case setInterval:
		return "TCP_KEEPINTVL"
	case setCount:
		return "TCP_KEEPCNT"
	case setUserTimeout:
		return "TCP_USER_TIMEOUT"
	}
	return fmt.Sprintf("options %#x", uint32(s))
}

// differing gives those in which two values differ.
func differing(a, b tcpvet.Timers) (s timersSet) {
	if a.Keepalive != b.Keepalive {
		s |= setKeepalive
	}
	if a.Idle != b.Idle {
		s |= setIdle
	}
	if a.Interval != b.Interval {
		s |= setInterval
	}
	if a.Count != b.Count {
		s |= setCount
	}
	if a.UserTimeout != b.UserTimeout {
		s |= setUserTimeout
	}
	return s
}

// settable gives what comes nearest to t of that which the kernel lets a program set.
// What is in effect may be beyond: settings have wider ranges.
func settable(t tcpvet.Timers) tcpvet.Timers {
	t.Idle = min(max(t.Idle, time.Second), tcpvet.MaxKeepalive)
	t.Interval = min(max(t.Interval, time.Second), tcpvet.MaxKeepalive)
	t.Count = min(max(t.Count, 1), tcpvet.MaxKeepaliveCount)
	t.UserTimeout = min(max(t.UserTimeout, 0), tcpvet.MaxUserTimeout)
	return t
}

// again tells whether the timer has to be stopped and started for that, where now is in
// effect: an idle time that is over would run out at once, and those of all sockets
// together.
func (j *timersJob) again(now tcpvet.Timers) bool {
	return j.set&setIdle != 0 && j.to.Idle != now.Idle && j.to.Keepalive && now.Keepalive &&
		(j.fromNow && j.to.Idle < now.Idle || j.silent >= j.to.Idle)
}

// optionError says which option the kernel did not take or tell.
type optionError struct {
	option timersSet
	err    error
}

func (e *optionError) Error() string { return e.option.String() + ": " + e.err.Error() }
func (e *optionError) Unwrap() error { return e.err }

// errHandshake is the reason of a socket whose handshake is not over.
var errHandshake = errors.New("its handshake is not over: it has no timers yet")

// outcome words what came of asking.
func (j *timersJob) outcome() (tcpvet.Outcome, string) {
	switch j.answer {
	case answered:
		if j.set != 0 && j.now != j.to {
			return tcpvet.OutcomeFailed, fmt.Sprintf("it was set to %v and is %v: its program set it at the same time", j.to, j.now)
		}
		return tcpvet.OutcomeApplied, ""
	case closed:
		if j.state != 0 {
			return tcpvet.OutcomeGone, fmt.Sprintf("it was closed since, and is in %v", j.state)
		}
		return tcpvet.OutcomeGone, "it was closed since"
	case failed:
		return tcpvet.OutcomeFailed, j.err.Error()
	case refused:
		return tcpvet.OutcomeRefused, j.err.Error()
	}
	return tcpvet.OutcomeRefused, "nothing led to it"
}
