package remedy

import (
	"context"
	"fmt"
	"os"

	"github.com/tcpvet/tcpvet"
)

// closePicking makes changes of the sockets that are selected.
type closePicking struct {
	opt     *CloseOptions
	self    int32
	by      *closing
	changes []tcpvet.Change
	more    int // above the limit
	spared  [numSpared]int
	about   closeCensus
	seen    map[socketName]bool // one that changes during a look may be told twice
}

func (p *closePicking) socket(s *tcpvet.Socket, comm string) {
	if why := p.opt.judge(s, p.self); why != notSpared {
		p.spared[why]++
		return
	}
	name := socketName{s.Netns, s.Cookie}
	if p.seen[name] {
		return
	}
	p.seen[name] = true
	if len(p.changes) >= p.opt.max() {
		p.more++
		return
	}
	p.about.add(s)
	p.by.remember(s)
	p.changes = append(p.changes, tcpvet.Change{
		Target: targetOf(s, comm),
		Before: tcpvet.Value{State: s.State},
		After:  tcpvet.Value{State: tcpvet.Unconn},
	})
}

// closeFacts are what a plan to close sockets is made from.
const closeFacts = tcpvet.FactCookie | tcpvet.FactHolders | tcpvet.FactInode | tcpvet.FactQueues | tcpvet.FactTimer | tcpvet.FactInfo |
	tcpvet.FactMini | tcpvet.FactTimeWait | tcpvet.FactListeners | tcpvet.FactPortRange

// PlanClose plans to close the sockets that are selected, each by its cookie. A socket
// in CLOSE-WAIT is shut down in order where the descriptor of its process can be
// borrowed; any other, and where that does not end it, is destroyed by the kernel
// (SOCK_DESTROY). Listeners, merely bound sockets and those that tcpvet holds itself
// are not touched.
//
// What stands in the way for a socket, such as a missing privilege, is in the plan as
// refused. The error says that nothing was selected in a way that can be planned:
// ErrEverything, ErrTooMany, ErrNeverClosed; or that nothing could be looked at.
func PlanClose(ctx context.Context, opt CloseOptions) (*Plan, error) {
	const what = "plan to close sockets"
	states, err := opt.check()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if !opt.Source.Facts(closeFacts).Has(tcpvet.FactCookie) {
		return nil, fmt.Errorf("%s: %s tells no cookies, and without one a socket cannot be told from the next between the same addresses: use netlink or bpf", what, opt.Source.Name())
	}
	p := &closePicking{opt: &opt, self: int32(os.Getpid()), by: newClosing(), seen: make(map[socketName]bool)}
	gaps, err := opt.selected(ctx, states, closeFacts, p.socket)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if p.more > 0 {
		return nil, fmt.Errorf("%s: %w: %d, and the limit is %d: narrow the selection, or raise it by --max", what, ErrTooMany, len(p.changes)+p.more, opt.max())
	}
	plan := &Plan{Plan: tcpvet.Plan{Kind: tcpvet.ClosePlan, Risk: closeRisk(states), Changes: p.changes, Gaps: gaps}, By: p.by}
	if err := p.by.Present(ctx, plan.Changes); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for i := range plan.Changes {
		if c := &plan.Changes[i]; c.Outcome == tcpvet.OutcomePlanned {
			c.Target.State = c.Before.State // it may have changed since the look
		}
	}
	plan.Notes = append(p.about.notes(p.by.abrupt(plan.Changes)), sparedNotes(p.spared, opt.OlderThan)...)
	return plan, nil
}
