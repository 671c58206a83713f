package remedy

import (
	"context"
	"errors"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
)

// Selection says which sockets a plan is about.
type Selection struct {
	Source source.Source
	Query  source.Query

	// Match tells whether a socket that Query asks for is meant; info gives what
	// is known of a process that holds it. nil means every socket.
	Match func(s *tcpvet.Socket, info func(tcpvet.Process) tcpvet.ProcessInfo) bool
}

// selected looks, and hands over each socket that is selected and in one of states,
// with the name of the process that holds it. The socket holds until yield returns.
// What could not be seen comes as gaps.
func (sel *Selection) selected(ctx context.Context, states tcpvet.StateSet, want tcpvet.Facts, yield func(s *tcpvet.Socket, comm string)) ([]tcpvet.Gap, error) {
	q := sel.Query
	if q.States == 0 {
		q.States = tcpvet.AllStates
	}
	if q.States &= states; q.States == 0 {
		return nil, nil
	}
	q.Want |= want
	p := &picker{match: sel.Match, states: q.States, yield: yield, processes: make(map[tcpvet.Process]tcpvet.ProcessInfo)}
	err := sel.Source.Look(ctx, q, p)
	if errors.Is(err, source.ErrInconsistent) {
		p.Gap(source.Inconsistent())
		err = nil
	}
	return p.gaps, err
}

// picker is an Observer that picks sockets.
type picker struct {
	match     func(*tcpvet.Socket, func(tcpvet.Process) tcpvet.ProcessInfo) bool
	states    tcpvet.StateSet
	yield     func(*tcpvet.Socket, string)
	processes map[tcpvet.Process]tcpvet.ProcessInfo
	gaps      []tcpvet.Gap
}

func (p *picker) Host(tcpvet.Host)                                   {}
func (p *picker) Netns(tcpvet.Netns)                                 {}
func (p *picker) Process(pr tcpvet.Process, info tcpvet.ProcessInfo) { p.processes[pr] = info }
func (p *picker) Gap(g tcpvet.Gap)                                   { p.gaps = append(p.gaps, g) }
func (p *picker) Changed(uint64)                                     {}
func (p *picker) info(pr tcpvet.Process) tcpvet.ProcessInfo          { return p.processes[pr] }

func (p *picker) Socket(s *tcpvet.Socket) error {
	if p.states.Has(s.State) && (p.match == nil || p.match(s, p.info)) {
		p.yield(s, p.processes[s.Holder].Comm)
	}
	return nil
}

// targetOf gives a socket as what a change is about.
func targetOf(s *tcpvet.Socket, comm string) tcpvet.Target {
	return tcpvet.Target{
		Netns: s.Netns, Cookie: s.Cookie, Inode: s.Inode, State: s.State, Role: s.Role,
		Local: s.Local, Remote: s.Remote, Holder: s.Holder, Comm: comm,
	}
}
