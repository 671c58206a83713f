package trace

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
)

// A Go program makes up to three connect() of one Dial while these answer
// EADDRNOTAVAIL and it asked for no port of its own: the kernel has been known to
// answer so by mistake (function dialTCP of package net).
const (
	dialTries = 3

	// foldWithin is the longest that a failure is kept back for what may come from
	// the same Dial. A connect() that looks through all ports takes milliseconds.
	foldWithin = 200 * time.Millisecond

	// amendWithin is the longest that one is kept back for the errno that the call
	// itself gives, microseconds later.
	amendWithin = 5 * time.Millisecond

	// mostHeld is how many are kept back at once; then the oldest is told.
	mostHeld = 128
)

// fold hands events over, those connect() folded into one that a program makes of one
// attempt, and with the errno that the program got. It keeps back what may still
// change, which then comes later than others; its time is that of the first. A
// program's goroutines change threads, so that alike is what one process does: three
// attempts at once are told as three in any case.
type fold struct {
	yield   func(*tcpvet.Event) error
	retries func(tcpvet.Process) bool // whether its program is one that tries again
	held    []held                    // the oldest first
	out     tcpvet.Event              // what is being told of those
}

type held struct {
	event  tcpvet.Event
	tries  uint64
	again  bool // it may come again, with the same
	tuple  tuple
	expiry time.Time
}

// tuple is what the connect() of one Dial have in common.
type tuple struct {
	process tcpvet.Process
	netns   tcpvet.NetnsID
	local   netip.Addr
	remote  netip.AddrPort
	cause   tcpvet.Cause
	from    tcpvet.State
}

// newFold hands over to yield. retries tells whether a process makes several connect()
// of one attempt.
func newFold(yield func(*tcpvet.Event) error, retries func(tcpvet.Process) bool) *fold {
	return &fold{yield: yield, retries: retries, held: make([]held, 0, mostHeld)}
}

// add takes an event. It keeps no reference to it.
func (f *fold) add(e *tcpvet.Event) error {
	if e.Kind != tcpvet.EventFail || e.Call != tcpvet.CallConnect || e.KnownBy != tcpvet.ByTask {
		return f.yield(e)
	}
	h := held{tries: 1, again: e.Errno == errADDRNOTAVAIL && e.Local.Port() == 0 && f.retries(e.Process)}
	switch {
	case h.again:
		h.tuple = tuple{e.Process, e.Netns, e.Local.Addr(), e.Remote, e.Cause, e.From}
		h.expiry = e.At.Add(foldWithin)
		if i := f.alike(&h); i >= 0 {
			if f.held[i].tries++; f.held[i].tries == dialTries {
				return f.release(i)
			}
			return nil
		}
	case inferred(e):
		h.expiry = e.At.Add(amendWithin)
	default:
		return f.yield(e)
	}
	if len(f.held) == mostHeld {
		if err := f.release(0); err != nil {
			return err
		}
	}
	h.event = *e
	h.event.Stack = slices.Clone(e.Stack)
	f.held = append(f.held, h)
	return nil
}

// inferred tells that the errno of a failure is what the state change lets one think,
// while its connect() had not returned yet.
func inferred(e *tcpvet.Event) bool {
	return e.From == tcpvet.SynSent && (e.Errno == 0 || e.Errno == errADDRNOTAVAIL)
}

// alike gives the one held that h is another try of, -1 for none.
func (f *fold) alike(h *held) int {
	for i := range f.held {
		o := &f.held[i]
		if o.again && o.tuple == h.tuple && !h.expiry.After(o.expiry.Add(foldWithin)) {
			return i
		}
	}
	return -1
}

// amend says with which errno a connect() ended whose failure was told before.
func (f *fold) amend(cookie uint64, errno int) {
	for i := range f.held {
		h := &f.held[i]
		if h.event.Cookie == cookie && inferred(&h.event) && h.tries == 1 {
			h.event.Errno = errno
			h.event.Cause = connectCause(&h.event)
			h.again = false
			return
		}
	}
}

// idle tells what cannot change any more at a time.
func (f *fold) idle(now time.Time) error {
	for i := 0; i < len(f.held); {
		if f.held[i].expiry.After(now) {
			i++
			continue
		}
		if err := f.release(i); err != nil {
			return err
		}
	}
	return nil
}

// flush tells all.
func (f *fold) flush() error {
	for len(f.held) > 0 {
		if err := f.release(0); err != nil {
			return err
		}
	}
	return nil
}

// release tells one of those held.
func (f *fold) release(i int) error {
	f.out = f.held[i].event
	if f.held[i].tries > 1 {
		f.out.Count = f.held[i].tries
	}
	f.held = slices.Delete(f.held, i, i+1)
	return f.yield(&f.out)
}
