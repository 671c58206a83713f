package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// QuietPool is a pool of connections that grows with the load, and has some in
// reserve. Nothing is wrong with it.
var QuietPool = &lab.Scenario{
	Name:   "quiet-pool",
	Title:  "no fault: a busy pool of connections that grows with the load",
	Source: "RFC 9112, section 9.4; pages of established-growth, no-keepalive and descriptor-limit",
	Acts:   []lab.Act{idleServer, busyClient},
	Play: func(ctx context.Context, s *lab.Stage) error {
		q := &quietPool{Stage: s}
		return inOrder(ctx, q.open, q.reserve, q.load)
	},
}

const (
	poolBusy    = 12 // connections that work from the beginning
	poolReserve = 9  // that do not work: with 10 no-keepalive speaks, with half of all established-growth
	poolMore    = 36 // that come with the load
	poolLimit   = 90 // descriptors that the client may have
)

// quietPool is a play of QuietPool under way.
type quietPool struct {
	*lab.Stage
	service netip.AddrPort
	client  *lab.Process
	before  *lab.Earlier
	opened  time.Time
}

func (q *quietPool) open(ctx context.Context) error {
	step := lab.Step{Name: "open", Title: "A pool at work"}
	far, err := q.NewHost(ctx, "far")
	if err != nil {
		return err
	}
	link, err := q.Link(ctx, q.Host, far, lab.LinkOptions{})
	if err != nil {
		return err
	}
	q.service = netip.AddrPortFrom(link.B.Addr4, stock.Port())
	server, err := startServer(ctx, far, q.service)
	if err != nil {
		return err
	}
	if q.client, err = q.Host.StartWith(lab.Setup{Descriptors: poolLimit}, busyClient, "shop-client", "http://"+q.service.String()+"/stock"); err != nil {
		return err
	}
	for _, order := range []openOrder{{q.service, poolReserve, true}, {q.service, poolBusy, false}} {
		if err := q.client.Cue(ctx, busyOpen, order, &struct{}{}); err != nil {
			return err
		}
	}
	q.opened = time.Now()
	if q.before, err = q.Before(ctx); err != nil {
		return err
	}
	step.Done = []string{
		fmt.Sprintf("stock-server (process %s) listens on %s, which is another host, and sends no client away.", step.ID("server_pid", server.PID), q.service),
		fmt.Sprintf("shop-client (process %s) has %s connections that make requests all the time, and %s in reserve, each used once. Neither program sets SO_KEEPALIVE. It may have %s descriptors.",
			step.ID("client_pid", q.client.PID), step.Count("busy_count", poolBusy), step.Count("reserve_count", poolReserve), step.Count("limit_count", poolLimit)),
	}
	q.Tell(step)
	return nil
}

// reserve waits until the connections in reserve have been idle for longer than
// no-keepalive allows.
func (q *quietPool) reserve(ctx context.Context) error {
	step := lab.Step{Name: "reserve", Title: "Some lie idle for long"}
	long := patiences * q.Patience
	if err := lab.Wait(ctx, long); err != nil {
		return err
	}
	if err := q.idle(ctx, long); err != nil {
		return err
	}
	age := time.Since(q.opened)
	if err := q.atWork(ctx, &step); err != nil {
		return err
	}
	err := inOrderTo(ctx, q.Stage, &step, lab.Expect{},
		onlooker{"no-keepalive", fmt.Sprintf("%s of the client and as many of the server have been idle for longer than %s without SO_KEEPALIVE. So few may belong to a tool; what is asked for is a habit. "+
			"The other %s are as old and have no SO_KEEPALIVE either, but they work: a peer that is gone would show.",
			step.Count("reserve_count", poolReserve), step.Seconds("long_seconds", long), step.Count("busy_count", poolBusy))})
	if err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("%s pass.", step.Seconds("age_seconds", age)))
	q.Tell(step)
	return nil
}

// patiences is how many times patience no-keepalive lets a connection be idle.
const patiences = 4

// idle waits until the reserve, and nothing else, has been idle for that long at
// both ends.
func (q *quietPool) idle(ctx context.Context, long time.Duration) error {
	return lab.Until(ctx, "the reserve to be idle for long", func() (bool, error) {
		c, err := q.Census(ctx)
		if err != nil || !c.Facts.Has(tcpvet.FactInfo) {
			return err == nil, err
		}
		on, off := idleFor(&c, func(h *tcpvet.Histogram) uint64 { return h.AtLeast(long) })
		if on > 0 || off > 2*poolReserve {
			return false, fmt.Errorf("%d ends with SO_KEEPALIVE and %d without have been idle for %s, not none and %d", on, off, long, 2*poolReserve)
		}
		return off == 2*poolReserve, nil
	})
}

// atWork waits until every connection that works has been used again.
func (q *quietPool) atWork(ctx context.Context, step *lab.Step) error {
	begin := time.Now()
	if err := q.client.Cue(ctx, busyMark, struct{}{}, &struct{}{}); err != nil {
		return err
	}
	return lab.Until(ctx, "every connection to be used", func() (bool, error) {
		var w worked
		if err := q.client.Cue(ctx, busyWork, struct{}{}, &w); err != nil || w.Least == 0 {
			return false, err
		}
		step.Shown = append(step.Shown, fmt.Sprintf("In %s, %s requests were answered, at least %s of them on each connection that works.",
			step.Seconds("work_seconds", time.Since(begin)), step.Count("requests_count", w.Requests), step.Count("least_count", w.Least)))
		return true, nil
	})
}

// load lets the load rise, and judges with the look from before.
func (q *quietPool) load(ctx context.Context) error {
	step := lab.Step{Name: "load", Title: "The load rises, and the pool grows"}
	if err := q.client.Cue(ctx, busyOpen, openOrder{To: q.service, Count: poolMore}, &struct{}{}); err != nil {
		return err
	}
	const all = poolReserve + poolBusy + poolMore
	ends, err := q.Settled(ctx, q.service, "the connections to be open", func(e lab.Ends) bool {
		return e.Client[tcpvet.Established] == all && e.Server[tcpvet.Established] == all
	})
	if err != nil {
		return err
	}
	if err := q.atWork(ctx, &step); err != nil {
		return err
	}
	step.Ends = &ends
	descriptors, err := q.descriptors(ctx)
	if err != nil {
		return err
	}
	err = inOrderTo(ctx, q.Stage, &step, lab.Expect{Before: q.before},
		onlooker{"established-growth", fmt.Sprintf("%s connections have become %s, in %s. But of the %s that were there, %s have lain idle, less than half; the others were at work when more were opened. "+
			"A leak opens more while there is enough to use.", step.Count("before_count", poolReserve+poolBusy), step.Count("all_count", all),
			step.Seconds("apart_seconds", time.Since(q.opened)), step.Count("before_count", poolReserve+poolBusy), step.Count("reserve_count", poolReserve))},
		onlooker{"descriptor-limit", fmt.Sprintf("the client has %s descriptors of %s, which is %s and most of them sockets. That is a full house, not one without room: the rule speaks past four fifths.",
			step.Count("descriptors_count", descriptors), step.Count("limit_count", poolLimit), step.Percent("used_percent", float64(descriptors)/poolLimit))})
	if err != nil {
		return err
	}
	step.Done = append(step.Done, fmt.Sprintf("The client opens %s more connections, which work too. Then comes the second look; the first was at the beginning.", step.Count("more_count", poolMore)))
	q.Tell(step)
	return nil
}

// descriptors gives how many the client has, and makes sure that they are many.
func (q *quietPool) descriptors(ctx context.Context) (int, error) {
	c, err := q.Census(ctx)
	if err != nil {
		return 0, err
	}
	for p, info := range c.Processes {
		if int(p.PID) != q.client.PID {
			continue
		}
		if info.DescriptorLimit != poolLimit || 3*info.Descriptors < 2*poolLimit || 5*info.Descriptors > 4*poolLimit {
			return 0, fmt.Errorf("the client has %d descriptors of %d, which is not between two thirds and four fifths", info.Descriptors, info.DescriptorLimit)
		}
		return int(info.Descriptors), nil
	}
	return 0, fmt.Errorf("the look does not know the process %d", q.client.PID)
}
