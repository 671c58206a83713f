package tcpvet

import (
	"net/netip"
	"time"
)

// Census is one look at a machine, folded: its size grows with the number of
// groups, not of sockets, and is bounded.
type Census struct {
	Taken    time.Time
	Duration time.Duration
	Source   string
	Facts    Facts   // what the source could know and was asked for
	Self     NetnsID // the namespace of the one who looked; 0 where the look came from a file
	Whole    bool    // every namespace and process was looked at, but for the Gaps
	Host     Host

	Sockets  uint64 // sockets seen
	Selected uint64 // of these, the ones in Groups: a filter may leave some out
	Changed  uint64 // of Sockets, those known to have changed during the look

	Groups    map[Group]*Tally
	Tuples    map[Tuple]*Budget
	Listeners map[Listener]*Queue
	Bound     map[NetnsID]*PortSet // ports that bind() keeps from automatic choice: of listeners and merely bound sockets
	Processes map[Process]ProcessInfo
	Netns     map[NetnsID]Netns
	Gaps      []Gap

	// GroupError and TupleError bound how many sockets of one group or
	// tuple may have been folded into "other"; 0 where nothing was folded.
	GroupError, TupleError uint64
}

// Listener is a local endpoint that accepts connections.
type Listener struct {
	Netns NetnsID
	Local netip.AddrPort
}

// Queue is the accept queue of a listener, summed over the members of a
// SO_REUSEPORT group.
type Queue struct {
	Length, Limit uint64 // connections; known as far as Known says
	Known         Facts  // FactBacklog, FactBacklogMax
	Fullest       Filled // the member that is nearest its limit
	Members       int
	Holder        Process

	// SharedWith holds the other processes that have the listener, or
	// another one of the group: they may accept too. At most 64 are kept.
	SharedWith []Process
}

// Filled is the queue of one listening socket.
type Filled struct{ Length, Limit uint64 }

// TotalStates sums the states over all groups.
func (c *Census) TotalStates() [NumStates]uint64 {
	var total [NumStates]uint64
	for _, t := range c.Groups {
		for s, n := range t.States {
			total[s] += uint64(n)
		}
	}
	return total
}
