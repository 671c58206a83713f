package remedy

import (
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// WatchKeepalive looks every so often for sockets that are selected and were not there
// before, and gives them keepalive as a part of the plan, which was applied: one undo
// takes it all back. tell is called after each look that found some, with what became
// of them, and with what could not be seen where that has changed. It ends with ctx,
// without an error, and leaves what is set.
//
// A connection is taken once it is established and accepted, since programs set values
// of their own right then. Memory grows with the sockets that live, and a look costs as
// one of ls.
func WatchKeepalive(ctx context.Context, p *Plan, j *Journal, opt KeepaliveOptions, every time.Duration, tell func([]tcpvet.Change, []tcpvet.Gap)) error {
	if every <= 0 {
		return fmt.Errorf("watch for new sockets: every %v: expected more than 0", every)
	}
	if err := opt.check(); err != nil {
		return fmt.Errorf("watch for new sockets: %w", err)
	}
	w := &keepaliveWatch{opt: opt, seen: make(map[uint64]bool, len(p.Changes))}
	for i := range p.Changes {
		if c := &p.Changes[i]; settled(c.Target.State, c.Target.Inode) {
			w.seen[c.Target.Cookie] = true
		}
	}
	if k, ok := p.By.(*keepalive); ok {
		k.each = true // what is new may be of one process that nobody may reach
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		changes, gaps, err := w.look(ctx)
		if err == nil && len(changes) > 0 {
			err = p.Extend(ctx, j, changes)
		}
		if len(changes) > 0 || gaps != nil {
			tell(changes, gaps)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch for new sockets: %w", err)
		}
	}
}

// settled tells whether a socket is past the point at which its program sets values of
// its own: it is connected, and has an inode since it was accepted.
func settled(state tcpvet.State, inode uint64) bool {
	return state != tcpvet.SynSent && (inode != 0 || state == tcpvet.Listen)
}

// keepaliveWatch finds sockets that it has not found before.
type keepaliveWatch struct {
	opt  KeepaliveOptions
	seen map[uint64]bool // cookies of the sockets that the last look met
	gaps []tcpvet.Gap    // of the last look
}

// look gives the changes of those that are new, and the gaps where they have changed.
func (w *keepaliveWatch) look(ctx context.Context) ([]tcpvet.Change, []tcpvet.Gap, error) {
	var changes []tcpvet.Change
	met := make(map[uint64]bool, len(w.seen))
	gaps, err := w.opt.selected(ctx, tcpvet.AllStates, keepaliveFacts, func(s *tcpvet.Socket, comm string) {
		if w.opt.leavesOut(s) != "" || s.Knows(tcpvet.FactInode) && !settled(s.State, s.Inode) || met[s.Cookie] {
			return
		}
		met[s.Cookie] = true
		if !w.seen[s.Cookie] {
			changes = append(changes, w.opt.change(s, comm))
		}
	})
	if err != nil {
		return nil, nil, err
	}
	w.seen = met
	spreadIdle(changes)
	if sameGaps(w.gaps, gaps) {
		return changes, nil, nil
	}
	w.gaps = gaps
	return changes, gaps, nil
}

// sameGaps tells whether the same things are missing, however often.
func sameGaps(a, b []tcpvet.Gap) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.Count, y.Count = 0, 0
		if x != y {
			return false
		}
	}
	return true
}
