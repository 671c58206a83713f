package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// hold holds the selection to the processes that have the PIDs of --pid by now. Once one
// has ended its number may go to another process, of which nobody spoke. It notes the
// numbers that no process has, and is an error where that is all of them.
func (s *selection) hold() error {
	if len(s.pids) == 0 {
		return nil
	}
	s.starts = make(map[int32]uint64, len(s.pids))
	for _, pid := range slices.Sorted(maps.Keys(s.pids)) {
		p, held, err := procfs.FS{}.Descriptors(pid)
		switch {
		case errors.Is(err, procfs.ErrEnded):
			s.nobody = append(s.nobody, pid)
		case err != nil && !p.Known():
			return &exit{statusBlind, err}
		default:
			s.starts[pid] = p.Start
			if held.Descriptors == 0 {
				s.sealed = append(s.sealed, pid)
			}
		}
	}
	if len(s.starts) == 0 {
		return &exit{statusBlind, fmt.Errorf("find process %d: %s", s.nobody[0], noSuchProcess)}
	}
	return nil
}

const noSuchProcess = "there is none to be seen here: it has ended, or has another number in this PID namespace"

// holds tells that a process is one that was named.
func (s *selection) holds(p tcpvet.Process) bool {
	if s.starts == nil {
		return s.pids == nil || s.pids[p.PID]
	}
	start, ok := s.starts[p.PID]
	return ok && start == p.Start
}

// absent gives the gaps of numbers that no process has.
func (s *selection) absent() (gaps []tcpvet.Gap) {
	for _, pid := range s.nobody {
		gaps = append(gaps, tcpvet.Gap{What: fmt.Sprintf("process %d", pid), Err: noSuchProcess})
	}
	return gaps
}

// unseen is why a plan for the processes that are held is empty: nothing of theirs could
// be seen. It is nil where that is not why.
func (s *selection) unseen(p *tcpvet.Plan) error {
	if len(p.Changes) > 0 || len(s.sealed) == 0 || len(s.sealed) < len(s.starts) {
		return nil
	}
	for _, g := range p.Gaps {
		if g.What == "holders" && g.Needs != "" {
			return fmt.Errorf("plan for process %d: %s; needs %s", s.sealed[0], g.Err, g.Needs)
		}
	}
	return nil
}

// whileHeld gives a context that ends once all processes that are held have, and with
// ctx.
func (s *selection) whileHeld(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if len(s.starts) == 0 {
		return ctx, cancel
	}
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for s.live() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		cancel()
	}()
	return ctx, cancel
}

// live tells whether one of the processes that are held is still there.
func (s *selection) live() bool {
	for pid, start := range s.starts {
		if _, err := (procfs.FS{}).ProcessInfo(tcpvet.Process{PID: pid, Start: start}); !errors.Is(err, procfs.ErrEnded) {
			return true
		}
	}
	return false
}
