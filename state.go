package tcpvet

import (
	"fmt"
	"strings"
)

// State is the state of a TCP socket, numbered as Linux numbers it
// (include/net/tcp_states.h).
type State uint8

// The states of RFC 9293 section 3.3.2, and BoundInactive, which is Linux's
// own: bound to a port, neither listening nor connected.
const (
	Established   State = 1
	SynSent       State = 2
	SynRecv       State = 3
	FinWait1      State = 4
	FinWait2      State = 5
	TimeWait      State = 6
	Unconn        State = 7 // CLOSED, which ss calls UNCONN
	CloseWait     State = 8
	LastAck       State = 9
	Listen        State = 10
	Closing       State = 11
	BoundInactive State = 13
)

// NumStates bounds the numbers of states: an array of that length can be
// indexed by State.
const NumStates = 14

// newSynRecv is TCP_NEW_SYN_RECV, a request socket: what is asked for and
// shown as SYN-RECV.
const newSynRecv State = 12

var stateNames = [NumStates]string{
	Established:   "ESTAB",
	SynSent:       "SYN-SENT",
	SynRecv:       "SYN-RECV",
	FinWait1:      "FIN-WAIT-1",
	FinWait2:      "FIN-WAIT-2",
	TimeWait:      "TIME-WAIT",
	Unconn:        "UNCONN",
	CloseWait:     "CLOSE-WAIT",
	LastAck:       "LAST-ACK",
	Listen:        "LISTEN",
	Closing:       "CLOSING",
	newSynRecv:    "SYN-RECV",
	BoundInactive: "BOUND-INACTIVE",
}

// States lists every state in the order in which reports show them.
var States = [...]State{
	Established, SynSent, SynRecv, FinWait1, FinWait2, TimeWait,
	Unconn, CloseWait, LastAck, Listen, Closing, BoundInactive,
}

// String gives the state's name as ss prints it.
func (s State) String() string {
	if int(s) < len(stateNames) && stateNames[s] != "" {
		return stateNames[s]
	}
	return fmt.Sprintf("STATE-%d", uint8(s))
}

// spellings holds what other programs and people write, folded by fold.
var spellings = func() map[string]State {
	m := map[string]State{
		"ESTABLISHED": Established,
		"SYNRCVD":     SynRecv, "SYNRECEIVED": SynRecv, "NEWSYNRECV": SynRecv,
		"LISTENING": Listen,
		"CLOSE":     Unconn, "CLOSED": Unconn, "UNCONNECTED": Unconn,
		"BOUND": BoundInactive,
	}
	for _, s := range States {
		m[foldState(s.String())] = s
	}
	return m
}()

func foldState(s string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return r
	}, s))
}

// ParseState reads a state as ss, netstat, lsof, the kernel or RFC 9293
// spells it: ESTAB, ESTABLISHED, close-wait, CLOSE_WAIT, FIN_WAIT2,
// SYN-RECEIVED.
func ParseState(s string) (State, error) {
	if st, ok := spellings[foldState(s)]; ok {
		return st, nil
	}
	return 0, fmt.Errorf("parse state %q: expected one of %s", s, strings.Join(stateWords(), " "))
}

func stateWords() []string {
	words := make([]string, len(States))
	for i, s := range States {
		words[i] = s.String()
	}
	return words
}

// StateSet is a set of states; bit n is state n, as in the kernel's
// idiag_states.
type StateSet uint16

// AllStates holds every state that a socket can be asked for by.
const AllStates StateSet = 1<<Established | 1<<SynSent | 1<<SynRecv | 1<<FinWait1 | 1<<FinWait2 |
	1<<TimeWait | 1<<Unconn | 1<<CloseWait | 1<<LastAck | 1<<Listen | 1<<Closing | 1<<BoundInactive

// SetOf gives the set that holds just those states.
func SetOf(states ...State) StateSet {
	var set StateSet
	for _, s := range states {
		set |= 1 << s
	}
	return set
}

// Has tells whether s is in the set.
func (set StateSet) Has(s State) bool { return set&(1<<s) != 0 }
