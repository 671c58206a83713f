package filter

import (
	"math/bits"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// StateIn holds for the sockets whose state is in the set.
type StateIn tcpvet.StateSet

// Judge is always known.
func (e StateIn) Judge(s *tcpvet.Socket) Truth { return truth(tcpvet.StateSet(e).Has(s.State)) }

func (e StateIn) reach() reach {
	set := tcpvet.StateSet(e) & tcpvet.AllStates
	return reach{yes: set, no: tcpvet.AllStates &^ set}
}

func (StateIn) needs() tcpvet.Facts { return 0 }

// String gives one run of state words, or of exclude words where that is
// shorter.
func (e StateIn) String() string {
	set := tcpvet.StateSet(e) & tcpvet.AllStates
	switch set {
	case 0:
		return "exclude all"
	case tcpvet.AllStates:
		return "state all"
	}
	word := "state "
	if bits.OnesCount16(uint16(set)) > len(tcpvet.States)/2 {
		word, set = "exclude ", tcpvet.AllStates&^set
	}
	var b strings.Builder
	for _, s := range tcpvet.States {
		if set.Has(s) {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(word)
			b.WriteString(s.String())
		}
	}
	return b.String()
}

// buckets are the states that ss counts as kept in small structures.
var buckets = tcpvet.SetOf(tcpvet.SynRecv, tcpvet.TimeWait)

// connected leaves out the states without a peer.
var connected = tcpvet.AllStates &^ tcpvet.SetOf(tcpvet.Listen, tcpvet.Unconn, tcpvet.BoundInactive)

// stateGroups holds the groups of states that ss(8) names, with BOUND-INACTIVE,
// which it does not mention, put where it belongs by their definition.
var stateGroups = map[string]tcpvet.StateSet{
	"all":          tcpvet.AllStates,
	"connected":    connected,
	"synchronized": connected &^ tcpvet.SetOf(tcpvet.SynSent),
	"bucket":       buckets,
	"big":          tcpvet.AllStates &^ buckets,
}

// stateWords holds what may follow "state", as ss spells it, for messages.
var stateWords = func() []string {
	words := []string{"all", "connected", "synchronized", "bucket", "big"}
	for _, s := range tcpvet.States {
		if s == tcpvet.BoundInactive {
			words = append(words, "bound-inactive") // ss has no word for it
		} else {
			words = append(words, s.SS())
		}
	}
	return words
}()

func parseStates(word string) (tcpvet.StateSet, bool) {
	if set, ok := stateGroups[strings.ToLower(word)]; ok {
		return set, true
	}
	s, err := tcpvet.ParseState(word)
	return tcpvet.SetOf(s), err == nil
}
