package cli

import (
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/source"
)

// selection is what the flags and the filter select.
type selection struct {
	filter     *filter.Filter
	states     tcpvet.StateSet // 0 for all
	pids       map[int32]bool
	comms      map[string]bool
	containers []string

	starts map[int32]uint64 // of pids, where it is held to the processes that have them; else nil
	nobody []int32          // of pids: no process had it then
	sealed []int32          // of pids: what they hold may not be read, unless they hold nothing

	// unlinked counts the sockets that the filter may mean, had the source told
	// which link their address is on.
	unlinked int
}

// selection reads the filter in args and the flags that narrow.
func (l *look) selection(args []string) (*selection, error) {
	f, err := filter.Parse(args)
	if err != nil {
		return nil, usage("%w", err)
	}
	s := &selection{filter: f, containers: l.containers}
	for _, word := range l.states {
		state, err := tcpvet.ParseState(word)
		if err != nil {
			return nil, usage("--state: %w", err)
		}
		s.states |= tcpvet.SetOf(state)
	}
	if len(l.pids) > 0 {
		s.pids = make(map[int32]bool)
		for _, pid := range l.pids {
			if pid <= 0 || pid > mostPID {
				return nil, usage("--pid %d: expected a process ID from 1 to %d", pid, mostPID)
			}
			s.pids[int32(pid)] = true
		}
	}
	if len(l.comms) > 0 {
		s.comms = make(map[string]bool)
		for _, c := range l.comms {
			s.comms[c] = true
		}
	}
	return s, nil
}

// holderless tells that nothing was narrowed by who holds a socket.
func (s *selection) holderless() bool {
	return len(s.pids) == 0 && len(s.comms) == 0 && len(s.containers) == 0
}

// query gives the states and facts that the selection needs.
func (s *selection) query() source.Query {
	states := s.filter.States()
	if s.states != 0 {
		states &= s.states
	}
	if states == 0 {
		states = tcpvet.SetOf(tcpvet.Unconn) // nothing can match, and no TCP socket is in that state
	}
	q := source.Query{States: states, Want: s.filter.Wants(), Filter: s.filter.Bytecode()}
	if !s.holderless() {
		q.Want |= tcpvet.FactHolders
	}
	if len(s.containers) > 0 {
		q.Want |= tcpvet.FactContainers
	}
	return q
}

// answerable tells whether src can tell by whom sockets are held, where the
// selection or the question hangs on it: an answer without would be wrong.
func answerable(src source.Source, q source.Query) error {
	const needed = tcpvet.FactHolders | tcpvet.FactContainers
	if missing := q.Want & needed &^ src.Facts(q.Want); missing != 0 {
		return &exit{statusBlind, fmt.Errorf("%s cannot tell %s, which was asked for", src.Name(), missing)}
	}
	return nil
}

// blindSpots gives the gaps of an answer about what src cannot tell at all:
// states that it never shows, and what the filter asks for.
func (s *selection) blindSpots(src source.Source, states tcpvet.StateSet) []tcpvet.Gap {
	var gaps []tcpvet.Gap
	for _, state := range report.Hidden(src.Facts(tcpvet.FactTimeWait|tcpvet.FactBound|tcpvet.FactListeners), states) {
		gaps = append(gaps, tcpvet.Gap{What: "sockets in " + state.String(), Err: src.Name() + " cannot tell them"})
	}
	return append(gaps, s.unanswered(src)...)
}

// unanswered gives the gaps where the filter asks for what src cannot tell, or did
// not of some sockets.
func (s *selection) unanswered(src source.Source) []tcpvet.Gap {
	needs := s.filter.Needs()
	const what = "sockets that the filter may mean"
	var gaps []tcpvet.Gap
	if missing := needs &^ src.Facts(needs); missing != 0 {
		gaps = append(gaps, tcpvet.Gap{What: what, Err: fmt.Sprintf("it asks for %s, which %s cannot tell", missing, src.Name())})
	}
	if s.unlinked > 0 {
		gaps = append(gaps, tcpvet.Gap{
			What: what, Count: s.unlinked,
			Err: fmt.Sprintf("it asks for the link of an address, which %s does not tell; leave out what follows %% for every link", src.Name()),
		})
	}
	return gaps
}

// match tells whether the socket is selected.
func (s *selection) match(sock *tcpvet.Socket, info func(tcpvet.Process) tcpvet.ProcessInfo) bool {
	if s.states != 0 && !s.states.Has(sock.State) {
		return false
	}
	switch s.filter.Judge(sock) {
	case filter.True:
		return s.matchHolders(sock, info)
	case filter.Unknown:
		if sock.Interface == 0 && s.filter.NamesLink() && s.matchHolders(sock, info) {
			s.unlinked++
		}
	}
	return false
}

func (s *selection) matchHolders(sock *tcpvet.Socket, info func(tcpvet.Process) tcpvet.ProcessInfo) bool {
	if s.holderless() || s.matchHolder(sock.Owner(), info) {
		return true
	}
	for _, p := range sock.SharedWith {
		if s.matchHolder(p, info) {
			return true
		}
	}
	return false
}

func (s *selection) matchHolder(p tcpvet.Process, info func(tcpvet.Process) tcpvet.ProcessInfo) bool {
	if !p.Known() || !s.holds(p) {
		return false
	}
	if s.comms == nil && len(s.containers) == 0 {
		return true
	}
	i := info(p)
	if s.comms != nil && !s.comms[i.Comm] {
		return false
	}
	return len(s.containers) == 0 || slices.ContainsFunc(s.containers, i.Container.IsCalled)
}

// all tells that nothing narrows the look.
func (s *selection) all() bool {
	return s.holderless() && s.states == 0 && s.filter.All()
}
