package probe

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Fate is what became of a connection that was left idle.
type Fate uint8

// The fates. A connection is asked by a keepalive probe: a segment without data, which
// the kernel of the other end answers if it knows the connection (RFC 1122, section
// 4.2.3.6).
const (
	Unasked    Fate = iota // it was open when the measurement ended
	Answered               // the probe was answered by an ACK: it is known at both ends
	Silent                 // no probe was answered
	ResetAsked             // a probe was answered by an RST
	ResetIdle              // an RST came while it was idle
	Closed                 // the peer's FIN came while it was idle
	Undecided              // it was asked, and what came does not tell
)

// String gives the word of the fate.
func (f Fate) String() string {
	return [...]string{"unasked", "answered", "silent", "reset", "reset-while-idle", "closed", "undecided"}[min(f, Undecided)]
}

// lost tells whether the connection was no longer known on the way, or at the peer.
func (f Fate) lost() bool { return f == Silent || f == ResetAsked || f == ResetIdle }

// Between encloses a time: it was at least Low and at most High.
type Between struct{ Low, High time.Duration }

// Trial is one connection that was left idle, and how it ended.
type Trial struct {
	Local netip.AddrPort
	Fate  Fate

	// Silence is how long no segment had crossed, either way, when the connection was
	// asked or ended by itself; Quiet is how long no data had, since the handshake at
	// most.
	Silence, Quiet Between

	At     time.Duration // since the measurement began, when it was asked or ended
	Broken int           // segments of the peer that came while it was to be idle: its own keepalive
	Probes int           // that were sent
	Errno  Errno         // with which it ended, 0 for none
}

// Idle is what was measured of how long a way, and the server at its end, keep
// connections that are idle.
type Idle struct {
	Target string         // as it was asked for
	Remote netip.AddrPort // the address that was measured
	Taken  time.Time      // when it began
	Took   time.Duration
	Most   time.Duration // no connection was to be idle for longer
	Wrote  int           // bytes that were sent on each connection before it was idle
	Heard  uint64        // bytes of data that the server sent on one of them, at most

	Trials []Trial
	Failed int    // connections beside the first that could not be opened
	Why    string // the first of those failed so, "" for none

	Interrupted bool
	Loopback    bool // it did not leave the host

	// Fresh tells whether a new connection was made and answered when one was lost;
	// nil where none was lost.
	Fresh *bool
}

// Limit encloses how long something is kept: it was still there after Survived, and no
// more after Ended, 0 where that was never seen.
type Limit struct{ Survived, Ended time.Duration }

// Path gives after which silence a connection is no longer known on the way, or at the
// peer, and how that shows; ok is false where it was measured for no silence at all. A
// limit with an end is told only where all connections agree on it.
func (i *Idle) Path() (limit Limit, how Fate, ok bool) {
	if t := i.firstLost(); t != nil {
		limit.Ended, how = t.Silence.High, t.Fate
	}
	// A probe may cross the RST that ends the others unasked.
	if how == ResetAsked && slices.ContainsFunc(i.Trials, func(t Trial) bool { return t.Fate == ResetIdle && t.Silence.Low <= limit.Ended }) {
		how = ResetIdle
	}
	for _, t := range i.Trials {
		if t.Fate == Answered && (limit.Ended == 0 || t.Silence.Low < limit.Ended) {
			limit.Survived = max(limit.Survived, t.Silence.Low)
			ok = true
		}
	}
	if limit.Ended > 0 {
		ok = len(i.against()) == 0 && i.reached()
	}
	return limit, how, ok
}

// firstLost gives the one that was lost after the shortest silence, nil for none.
func (i *Idle) firstLost() (first *Trial) {
	for n := range i.Trials {
		if t := &i.Trials[n]; t.Fate.lost() && (first == nil || t.Silence.High < first.Silence.High) {
			first = t
		}
	}
	return first
}

// leastLost is the shortest silence after which one was lost, 0 for none.
func (i *Idle) leastLost() time.Duration {
	if t := i.firstLost(); t != nil {
		return t.Silence.High
	}
	return 0
}

// reached tells that the peer could be reached all the time: else what was lost was lost
// for another reason than its silence.
func (i *Idle) reached() bool { return i.Fresh != nil && *i.Fresh }

// gone tells that everything was lost at some moment, whatever its silence.
func (i *Idle) gone() bool {
	if i.Fresh == nil || *i.Fresh {
		return false
	}
	first := time.Duration(-1)
	for _, t := range i.Trials {
		if t.Fate.lost() && (first < 0 || t.At < first) {
			first = t.At
		}
	}
	return first >= 0 && !slices.ContainsFunc(i.Trials, func(t Trial) bool { return t.Fate == Answered && t.At > first })
}

// answered tells whether any connection was.
func (i *Idle) answered() bool {
	return slices.ContainsFunc(i.Trials, func(t Trial) bool { return t.Fate == Answered })
}

// against gives the connections that were known after a longer silence than one that
// was not.
func (i *Idle) against() (out []Trial) {
	least := i.leastLost()
	for _, t := range i.Trials {
		if least > 0 && t.Fate == Answered && t.Silence.Low >= least {
			out = append(out, t)
		}
	}
	return out
}

// Server gives after how long without data the server closes by itself; ok is false
// where it was not seen to.
func (i *Idle) Server() (limit Limit, ok bool) {
	for _, t := range i.Trials {
		if t.Fate == Closed && (!ok || t.Quiet.High < limit.Ended) {
			limit.Ended, ok = t.Quiet.High, true
		}
	}
	for _, t := range i.Trials {
		if ok && t.Fate == Answered && t.Quiet.Low < limit.Ended {
			limit.Survived = max(limit.Survived, t.Quiet.Low)
		}
	}
	return limit, ok
}

// Kept tells by how much the peer's own segments broke the silence: the longest silence
// of a connection that was to be idle for longer; ok is false where none was broken.
func (i *Idle) Kept() (silence time.Duration, ok bool) {
	for _, t := range i.Trials {
		if t.Broken > 0 && t.Fate != Unasked {
			silence, ok = max(silence, t.Silence.High), true
		}
	}
	return silence, ok
}

// ownBreaks tells that nothing was lost, and no connection was silent for longer than
// the peer's own segments let it.
func (i *Idle) ownBreaks(path Limit) bool {
	silence, ok := i.Kept()
	return ok && path.Ended == 0 && path.Survived <= silence
}

// Measured tells whether anything was.
func (i *Idle) Measured() bool {
	for _, t := range i.Trials {
		if t.Fate != Unasked && t.Fate != Undecided {
			return true
		}
	}
	return false
}

// Forgets tells whether it was measured that idle connections are lost.
func (i *Idle) Forgets() bool {
	limit, _, ok := i.Path()
	return ok && limit.Ended > 0
}

const (
	// asksOf is how many probes in a row must stay without an answer before a
	// connection is given up: on the way a segment may be lost.
	asksOf = 4
	// longestInterval lies between probes of a peer that does not answer: more
	// would only delay what they find.
	longestInterval = 15 * time.Second
)

// KeepaliveWithin gives keepalive for a way on which a silence is known to be survived:
// half of it before the first probe, so that one lost probe does no harm. ok is false
// where that is under a second, the least that TCP_KEEPIDLE can be.
func KeepaliveWithin(survived time.Duration) (t tcpvet.Timers, ok bool) {
	idle := min((survived / 2).Truncate(time.Second), tcpvet.MaxKeepalive)
	if idle < time.Second {
		return t, false
	}
	return tcpvet.Timers{
		Keepalive: true, Idle: idle,
		Interval: min(max((idle/asksOf).Truncate(time.Second), time.Second), longestInterval),
		Count:    asksOf,
	}, true
}
