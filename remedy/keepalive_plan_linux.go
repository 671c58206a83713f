package remedy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tcpvet/tcpvet"
)

// KeepaliveOptions say which sockets get keepalive, and which.
type KeepaliveOptions struct {
	Selection

	// Timers are what they get: DefaultTimers where this is the zero value. With a
	// UserTimeout of 0 that of each socket stays.
	Timers tcpvet.Timers

	// Listeners are taken too: what they accept from then on begins with what they
	// have.
	Listeners bool

	// Watch tells that new sockets get it too, by WatchKeepalive.
	Watch bool
}

// keepaliveFacts is what a look has to tell of sockets that get keepalive.
const keepaliveFacts = tcpvet.FactCookie | tcpvet.FactInode | tcpvet.FactMini | tcpvet.FactHolders | tcpvet.FactListeners | tcpvet.FactPortRange

// PlanKeepalive plans to give keepalive to sockets of running processes. Selected
// sockets that cannot take it, or are tcpvet's own, are no part of the plan: its notes
// count them. The error says what is missing where no socket can be reached.
func PlanKeepalive(ctx context.Context, opt KeepaliveOptions) (*Plan, error) {
	return planKeepalive(ctx, opt, byAny)
}

func planKeepalive(ctx context.Context, opt KeepaliveOptions, by string) (*Plan, error) {
	if err := opt.check(); err != nil {
		return nil, fmt.Errorf("plan keepalive: %w", err)
	}
	p := &Plan{
		Plan: tcpvet.Plan{Kind: tcpvet.KeepalivePlan, Risk: tcpvet.ChangesProcess},
		By:   &keepalive{by: by, leave: opt.Timers.UserTimeout == 0, fromNow: true},
	}
	about := keepaliveNotes{timers: opt.Timers, watch: opt.Watch}
	seen := make(map[uint64]bool)
	gaps, err := opt.selected(ctx, tcpvet.AllStates, keepaliveFacts, func(s *tcpvet.Socket, comm string) {
		if why := opt.leavesOut(s); why != "" {
			about.leave(why)
		} else if !seen[s.Cookie] {
			seen[s.Cookie] = true
			p.Changes = append(p.Changes, opt.change(s, comm))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("plan keepalive: %w", err)
	}
	p.Gaps = gaps
	if len(p.Changes) == 0 && about.left[leftUnnamed] > 0 {
		return nil, fmt.Errorf("plan keepalive: %w", errNoCookies)
	}
	spreadIdle(p.Changes)
	if err := p.By.Present(ctx, p.Changes); err != nil {
		return nil, fmt.Errorf("plan keepalive: %w", err)
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Outcome == tcpvet.OutcomePlanned && c.Before == c.After {
			c.Outcome, c.Reason = tcpvet.OutcomeUnchanged, "it is so already"
		}
		about.count(c)
	}
	if about.tooMany() {
		p.Risk = tcpvet.DropsConnections
	}
	p.Notes = about.sentences()
	return p, nil
}

var errNoCookies = errors.New("this source does not tell sockets by their cookies, without which another one could be changed: use the source bpf or netlink")

// check checks the options, and sets what is left open.
func (opt *KeepaliveOptions) check() error {
	if opt.Timers == (tcpvet.Timers{}) {
		opt.Timers = tcpvet.DefaultTimers()
	}
	if !opt.Timers.Keepalive {
		return errors.New("keepalive is to be off: what was given is taken back by undo")
	}
	return opt.Timers.Check()
}

func (opt *KeepaliveOptions) change(s *tcpvet.Socket, comm string) tcpvet.Change {
	return tcpvet.Change{Target: targetOf(s, comm), After: tcpvet.Value{Timers: opt.Timers}}
}

// leavesOut gives the reason why a socket is no part of a plan, "" for one that is.
func (opt *KeepaliveOptions) leavesOut(s *tcpvet.Socket) leftOut {
	orphan := s.Knows(tcpvet.FactInode) && s.Inode == 0
	switch s.State {
	case tcpvet.TimeWait:
		return leftTimeWait
	case tcpvet.SynRecv:
		return leftHandshake
	case tcpvet.LastAck, tcpvet.Closing:
		return leftClosing
	case tcpvet.FinWait1, tcpvet.FinWait2:
		if orphan || s.Mini {
			return leftClosing
		}
	case tcpvet.BoundInactive, tcpvet.Unconn:
		return leftBound
	case tcpvet.Listen:
		if !opt.Listeners {
			return leftListener
		}
	}
	switch {
	case s.Holder.PID == int32(os.Getpid()):
		return leftOwn
	case !s.Knows(tcpvet.FactCookie) || s.Cookie == 0:
		return leftUnnamed
	}
	return ""
}
