package remedy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source/sockdiag"
)

// settleTime is how long the peers of sockets that were shut down have to acknowledge
// the FIN: a round trip, and that of a first and a second retransmission.
const settleTime = 3 * time.Second

// closing is the actor of ClosePlan.
type closing struct {
	settle time.Duration

	// kept is what the plan's targets do not say of some sockets.
	kept map[socketName]keptSocket
}

// socketName is what a socket is known by.
type socketName struct {
	netns  tcpvet.NetnsID
	cookie uint64
}

// keptSocket is what is needed of a socket beside its target.
type keptSocket struct {
	link   uint32           // the interface that it is bound to
	shared []tcpvet.Process // that hold it beside the first
}

func newClosing() *closing {
	return &closing{settle: settleTime, kept: make(map[socketName]keptSocket)}
}

// remember keeps of a socket what its target will not say.
func (a *closing) remember(s *tcpvet.Socket) {
	if s.Interface == 0 && len(s.SharedWith) == 0 {
		return
	}
	a.kept[socketName{s.Netns, s.Cookie}] = keptSocket{s.Interface, append([]tcpvet.Process(nil), s.SharedWith...)}
}

// id gives what the kernel knows a target by.
func (a *closing) id(t *tcpvet.Target) sockdiag.ID {
	return sockdiag.ID{Local: t.Local, Remote: t.Remote, Cookie: t.Cookie, Interface: a.kept[socketName{t.Netns, t.Cookie}].link}
}

// Present reads the state that each socket is in, and refuses what cannot be closed
// here.
func (a *closing) Present(ctx context.Context, changes []tcpvet.Change) error {
	finish := func(i int, o tcpvet.Outcome, why string) { changes[i].Outcome, changes[i].Reason = o, why }
	ways := newWays(a)
	return a.eachSpace(ctx, changes, finish, func(c *sockdiag.Conn, places []int, destroy error) error {
		err := c.Lookup(ctx, a.ids(changes, places), func(n int, s *tcpvet.Socket, err error) {
			i := places[n]
			if o, why := found(&changes[i], s, err); o != tcpvet.OutcomePlanned {
				finish(i, o, why)
				return
			}
			changes[i].Before.State = s.State
		})
		if err != nil || destroy == nil {
			return err
		}
		for _, i := range places {
			c := &changes[i]
			if c.Outcome != tcpvet.OutcomePlanned {
				continue
			}
			if c.Before.State != tcpvet.CloseWait {
				finish(i, tcpvet.OutcomeRefused, destroy.Error())
			} else if why := ways.inOrder(&c.Target); why != nil {
				finish(i, tcpvet.OutcomeRefused, neither(destroy, why.Error()))
			}
		}
		return nil
	})
}

// Apply closes the sockets.
func (a *closing) Apply(ctx context.Context, changes []tcpvet.Change, tell Tell) error {
	return a.eachSpace(ctx, changes, tell, func(c *sockdiag.Conn, places []int, destroy error) error {
		abrupt, err := a.closeInOrder(ctx, c, changes, places, destroy, tell)
		if err != nil {
			return err
		}
		return a.destroy(ctx, c, changes, abrupt, destroy, tell)
	})
}

// abruptly is a socket that is to be destroyed, and why not closed in order.
type abruptly struct {
	place int
	why   string // "" where nothing else could be
	shut  bool   // it was shut down, and did not end
}

// found says what becomes of a change without its being tried, as its socket was looked
// up: OutcomePlanned where nothing does.
func found(c *tcpvet.Change, s *tcpvet.Socket, err error) (o tcpvet.Outcome, why string) {
	switch {
	case errors.Is(err, sockdiag.ErrGone):
		return tcpvet.OutcomeGone, ""
	case err != nil:
		return tcpvet.OutcomeRefused, err.Error()
	case s.State == tcpvet.Listen:
		return tcpvet.OutcomeRefused, "it listens by now: listeners are never closed from outside"
	case s.State == tcpvet.LastAck && c.Before.State == tcpvet.CloseWait:
		return tcpvet.OutcomeGone, "its program has closed it"
	}
	return tcpvet.OutcomePlanned, ""
}

// neither says why a socket can be closed neither way: inOrder is "" where it could
// not be shut down in any case.
func neither(destroy error, inOrder string) string {
	if inOrder == "" {
		return destroy.Error()
	}
	return fmt.Sprintf("%v; shutting it down in order: %s", destroy, inOrder)
}

// destroy has the kernel end sockets, if they are still as they were listed. denied
// says why it was expected to end none.
func (a *closing) destroy(ctx context.Context, c *sockdiag.Conn, changes []tcpvet.Change, list []abruptly, denied error, tell Tell) error {
	var places []int
	var left []abruptly
	for _, d := range list {
		places = append(places, d.place)
	}
	err := c.Lookup(ctx, a.ids(changes, places), func(n int, s *tcpvet.Socket, err error) {
		d := list[n]
		if d.shut && errors.Is(err, sockdiag.ErrGone) {
			tell(d.place, tcpvet.OutcomeApplied, shutDown)
			return
		}
		if !d.shut {
			o, why := found(&changes[d.place], s, err)
			if o == tcpvet.OutcomePlanned && s.State != changes[d.place].Before.State {
				o, why = tcpvet.OutcomeRefused, fmt.Sprintf("it is in %s by now: plan it anew", s.State)
			}
			if o != tcpvet.OutcomePlanned {
				tell(d.place, o, why)
				return
			}
		}
		left = append(left, d)
	})
	if err != nil {
		return err
	}
	places = places[:0]
	for _, d := range left {
		places = append(places, d.place)
	}
	return c.Destroy(ctx, a.ids(changes, places), func(n int, err error) {
		d := &left[n]
		switch {
		case err == nil && d.why == "":
			tell(d.place, tcpvet.OutcomeApplied, "destroyed")
		case err == nil:
			tell(d.place, tcpvet.OutcomeApplied, "destroyed: "+d.why)
		case errors.Is(err, sockdiag.ErrGone) && d.shut:
			tell(d.place, tcpvet.OutcomeApplied, shutDown)
		case errors.Is(err, sockdiag.ErrGone):
			tell(d.place, tcpvet.OutcomeGone, "")
		case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, sockdiag.ErrIdentity):
			if denied != nil && !errors.Is(err, sockdiag.ErrIdentity) {
				err = denied // it says what is needed
			}
			tell(d.place, tcpvet.OutcomeRefused, neither(err, d.why))
		default:
			tell(d.place, tcpvet.OutcomeFailed, err.Error())
		}
	})
}

// ids gives the IDs of the targets at places.
func (a *closing) ids(changes []tcpvet.Change, places []int) []sockdiag.ID {
	out := make([]sockdiag.ID, len(places))
	for n, i := range places {
		out[n] = a.id(&changes[i].Target)
	}
	return out
}

// eachSpace visits the network namespaces of the changes that have no outcome, with
// the places of these. destroy says why the kernel would destroy none there. What
// cannot be visited is finished. The connection to the kernel belongs to the
// namespace, the thread is in it too.
func (a *closing) eachSpace(ctx context.Context, changes []tcpvet.Change, finish Tell, visit func(c *sockdiag.Conn, places []int, destroy error) error) error {
	of := make(map[tcpvet.NetnsID][]int)
	var ids []tcpvet.NetnsID
	for _, i := range pending(changes) {
		id := changes[i].Target.Netns
		if of[id] == nil {
			ids = append(ids, id)
		}
		of[id] = append(of[id], i)
	}
	var first error
	err := inside(ctx, ids, func(id tcpvet.NetnsID, err error) {
		if first != nil {
			return
		}
		all := func(o tcpvet.Outcome, why string) {
			for _, i := range of[id] {
				finish(i, o, why)
			}
		}
		switch {
		case errors.Is(err, netns.ErrGone):
			all(tcpvet.OutcomeGone, fmt.Sprintf("network namespace %d has vanished", id))
			return
		case err != nil:
			all(tcpvet.OutcomeRefused, err.Error())
			return
		}
		c, err := sockdiag.Dial()
		if err != nil {
			all(tcpvet.OutcomeRefused, err.Error())
			return
		}
		defer c.Close()
		first = visit(c, of[id], c.ProbeDestroy())
	})
	if first != nil {
		return first
	}
	return err
}
