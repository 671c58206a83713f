package remedy

import (
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// CloseOptions says which sockets to close.
type CloseOptions struct {
	Selection

	// States are those that were named. 0 stands for CLOSE-WAIT and TIME-WAIT,
	// which nobody uses any more; any other state has to be named.
	States tcpvet.StateSet

	// OlderThan leaves out what has been in its state (ESTAB: idle) for no longer
	// than that, or for nobody knows how long; 0 asks for no age.
	OlderThan time.Duration

	Max int  // the plan is refused above so many sockets; 0 is MaxClose
	All bool // it is meant that nothing but states and ages narrows the selection
}

// MaxClose is how many sockets a plan closes at the most unless more is asked for: as
// many as a tuple can have local ports.
const MaxClose = 1 << 16

// unusedStates are those that a plan is about where none is named.
var unusedStates = tcpvet.SetOf(tcpvet.CloseWait, tcpvet.TimeWait)

// Why a plan to close sockets is not made.
var (
	ErrEverything  = errors.New("nothing says whose sockets, or between which addresses")
	ErrTooMany     = errors.New("more sockets are selected than the limit allows")
	ErrNeverClosed = errors.New("no connection")
)

// check refuses what should not be planned, and gives the states to look for.
func (o *CloseOptions) check() (tcpvet.StateSet, error) {
	switch {
	case o.OlderThan < 0:
		return 0, fmt.Errorf("an age of %v was asked for: give one above 0", o.OlderThan)
	case o.Max < 0:
		return 0, fmt.Errorf("a limit of %d sockets was asked for: give one above 0", o.Max)
	case o.Match == nil && !o.All:
		return 0, fmt.Errorf("%w: narrow it by a filter, a process or a container, or say --all", ErrEverything)
	}
	if o.States == 0 {
		return unusedStates, nil
	}
	for _, s := range [...]tcpvet.State{tcpvet.Listen, tcpvet.BoundInactive, tcpvet.Unconn} {
		if o.States.Has(s) {
			return 0, fmt.Errorf("%s was named: it is %w, and never closed from outside; end or reload the program that holds it", s, ErrNeverClosed)
		}
	}
	return o.States, nil
}

// max gives the limit.
func (o *CloseOptions) max() int {
	if o.Max == 0 {
		return MaxClose
	}
	return o.Max
}

// spared says why a socket that is selected is not closed.
type spared uint8

const (
	notSpared     spared = iota
	sparedOwn            // tcpvet holds it itself
	sparedNoName         // it has no cookie
	sparedYoung          // it is not older
	sparedMaybe          // it may be older
	sparedAgeless        // nobody knows how old it is

	numSpared
)

// judge tells whether the plan is about the socket; self is the PID of tcpvet.
func (o *CloseOptions) judge(s *tcpvet.Socket, self int32) spared {
	if s.Holder.PID == self {
		return sparedOwn
	}
	for _, p := range s.SharedWith {
		if p.PID == self {
			return sparedOwn
		}
	}
	if !s.Knows(tcpvet.FactCookie) || s.Cookie == 0 {
		return sparedNoName
	}
	if o.OlderThan == 0 {
		return notSpared
	}
	age, ok := s.Age()
	switch {
	case !ok:
		return sparedAgeless
	case age.Low > o.OlderThan:
		return notSpared
	case age.High > o.OlderThan:
		return sparedMaybe
	}
	return sparedYoung
}

// closeRisk says what closing sockets in those states can break.
func closeRisk(states tcpvet.StateSet) tcpvet.Risk {
	if states&^unusedStates == 0 {
		return tcpvet.ChangesProcess
	}
	return tcpvet.DropsConnections
}
