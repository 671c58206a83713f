package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/source"
)

// ExplainOptions bound what an Explainer spends.
type ExplainOptions struct {
	// Every is the least time between two looks for failures that are alike, 10 s
	// where it is 0. Between them the verdict of the last one is repeated.
	Every time.Duration

	// Share is how much of one processor looks may take over time, 0.05 where it
	// is 0. What they do not take is kept, up to half a second.
	Share float64

	// Remember is how many verdicts are kept, 4,096 where it is 0.
	Remember int
}

// Explainer says why attempts of other programs failed. It reads what Why reads, and
// connects to nothing. It is for one goroutine at a time.
type Explainer struct {
	every  time.Duration
	src    source.Source
	opened error // why there is no src
	spend  allowance
	known  verdicts
	last   seen
	now    func() time.Time
}

// seen is the last look at a namespace whole enough to serve another failure.
type seen struct {
	netns  tcpvet.NetnsID
	extent extent
	ground ground
	census *tcpvet.Census // nil for none
}

// freshness is how long before a failure a look may be that still serves it: ports
// and listeners change meanwhile, and one look serves a burst of failures.
const freshness = time.Second

// NewExplainer gives an Explainer of this machine.
func NewExplainer(opt ExplainOptions) *Explainer {
	x := &Explainer{
		every: cmp.Or(opt.Every, 10*time.Second), spend: newAllowance(cmp.Or(opt.Share, 0.05)), known: newVerdicts(cmp.Or(opt.Remember, 4096)),
		now: time.Now,
	}
	x.src, x.opened = source.Open("auto")
	return x
}

// Explain says why e, of the kind EventFail, came about. It blocks while it looks,
// which grows with the number of sockets, and not for what is alike or too much.
// What cannot be read is a gap, and the verdict is then that of the event alone.
func (x *Explainer) Explain(ctx context.Context, e *tcpvet.Event) probe.Explanation {
	a := probe.Seen(e)
	alone := probe.Explanation{Verdict: probe.Judge(&probe.Scene{Census: &tcpvet.Census{}, Netns: e.Netns, Process: e.Process}, &a)}
	now := x.now()
	like := alikeness(e, &a)
	if old, ok := x.known.get(like, now.Add(-x.every)); ok {
		// One that proves something else by itself is not alike after all.
		if alone.Certainty == tcpvet.Likely || alone.Cause == old.Cause {
			return probe.Explanation{Verdict: old, Repeated: true}
		}
		return alone
	}
	if !x.spend.allows(now) {
		return x.without(e, &a, alone)
	}
	before := processorTime()
	out, err := x.look(ctx, e, &a)
	x.spend.take(processorTime() - before)
	if err != nil {
		alone.Gaps = []tcpvet.Gap{gapOf(e.Netns, err)}
		out = alone
	}
	if ctx.Err() == nil {
		x.known.put(like, now, out.Verdict)
	}
	return out
}

// without explains where nothing more may be read now. Where no port was found, a
// look of a short time ago tells more than the event; of routes and listeners it does
// not know what this event needs.
func (x *Explainer) without(e *tcpvet.Event, a *probe.Attempt, alone probe.Explanation) probe.Explanation {
	l := &x.last
	if l.census == nil || l.netns != e.Netns || l.extent < ofPorts || e.At.Sub(l.census.Taken) > x.every ||
		!a.Seen.Searched || a.Errno != probe.EADDRNOTAVAIL || a.Bind.IsValid() {
		return alone
	}
	s := l.ground.scene(l.census, e.Netns)
	s.Process = e.Process
	return explained(&s, a)
}

func explained(s *probe.Scene, a *probe.Attempt) probe.Explanation {
	out := probe.Explanation{Verdict: probe.Judge(s, a), Census: s.Census, Looked: true, Gaps: s.Census.Gaps}
	if a.Step == probe.StepConnect && a.Errno == probe.EADDRNOTAVAIL && a.Seen.Searched && !a.Bind.IsValid() {
		out.Use = s.Use(a)
	}
	return out
}

// look reads what is around the failure and judges it.
func (x *Explainer) look(ctx context.Context, e *tcpvet.Event, a *probe.Attempt) (probe.Explanation, error) {
	if a.Errno == probe.EMFILE || a.Errno == probe.ENFILE {
		return x.descriptors(e, a), nil
	}
	if x.opened != nil {
		return probe.Explanation{}, x.opened
	}
	space, err := spaceOf(e.Netns)
	if err != nil {
		return probe.Explanation{}, err
	}
	var g ground
	var way probe.Route
	silent := false
	err = space.Do(func() error {
		g = readGround()
		if a.Step != probe.StepConnect || !a.Remote.IsValid() {
			return nil
		}
		way = route(a.Remote.Addr(), a.Bind.Addr())
		if a.Errno == probe.EHOSTUNREACH {
			silent = neighborFailed(cmp.Or(way.Via, a.Remote.Addr()))
		}
		return nil
	})
	if err != nil {
		return probe.Explanation{}, err
	}
	on := &onPort{space: e.Netns, port: a.Bind.Port()}
	c, err := x.census(ctx, e, extentOf(a, &way), on)
	if err != nil {
		return probe.Explanation{}, err
	}
	x.last.ground = g
	s := g.scene(c, e.Netns)
	s.Process, s.Route, s.NeighborFailed = who(c, e), way, silent
	s.Same, s.OnPort = on.find(a.Bind.Addr(), a.Remote)
	if abroad(&s, a) {
		s.Others = others(ctx, x.src, e.Netns, a.Remote.Addr())
	}
	return explained(&s, a), ctx.Err()
}

// descriptors judges a failure that hangs on the process alone.
func (x *Explainer) descriptors(e *tcpvet.Event, a *probe.Attempt) probe.Explanation {
	c := &tcpvet.Census{Taken: x.now(), Facts: tcpvet.FactLimits}
	if id, err := netns.Self(); err == nil {
		c.Self = id
	}
	return explained(&probe.Scene{Census: c, Netns: e.Netns, Process: who(c, e)}, a)
}

// extentOf says what has to be read to judge an attempt.
func extentOf(a *probe.Attempt, way *probe.Route) extent {
	switch {
	case a.Errno == probe.EADDRINUSE, a.Errno == probe.EADDRNOTAVAIL && a.Step == probe.StepConnect && a.Seen.Searched:
		return ofPorts
	case (a.Errno == probe.ETIMEDOUT || a.GaveUp) && way.Local:
		return ofListeners
	}
	return ofSettings
}

// census gives a look at the namespace of the event: the last one, where it serves.
func (x *Explainer) census(ctx context.Context, e *tcpvet.Event, need extent, on *onPort) (*tcpvet.Census, error) {
	if l := &x.last; l.census != nil && l.netns == e.Netns && l.extent >= need && on.port == 0 && e.At.Sub(l.census.Taken) <= freshness {
		return l.census, nil
	}
	x.last = seen{}
	c, err := look(ctx, x.src, e.Netns, need, on)
	if err != nil {
		return nil, err
	}
	x.last = seen{netns: e.Netns, extent: need, census: &c}
	return &c, nil
}

// who finds the process of the event, and puts what is known of it into the Census:
// of one that has ended, what the event tells.
func who(c *tcpvet.Census, e *tcpvet.Event) tcpvet.Process {
	if !e.Process.Known() {
		return tcpvet.Nobody
	}
	if p, err := process(c, e.Process.PID); err == nil && p == e.Process {
		return p
	}
	if c.Processes == nil {
		c.Processes = map[tcpvet.Process]tcpvet.ProcessInfo{}
	}
	if _, ok := c.Processes[e.Process]; !ok {
		c.Processes[e.Process] = tcpvet.ProcessInfo{Comm: e.Comm, Container: e.Container}
	}
	return e.Process
}

// spaceOf finds the way into a namespace.
func spaceOf(id tcpvet.NetnsID) (netns.Found, error) {
	if id == 0 {
		return netns.Found{}, errors.New("find network namespace: the event does not tell which it was")
	}
	if self, err := netns.Self(); err == nil && self == id {
		return netns.Found{ID: id}, nil
	}
	all, _, err := netns.Find(netns.Options{})
	if err != nil {
		return netns.Found{}, err
	}
	if i := slices.IndexFunc(all, func(f netns.Found) bool { return f.ID == id }); i >= 0 {
		return all[i], nil
	}
	return netns.Found{}, fmt.Errorf("find network namespace %d: no process that may be seen is in it, and no name leads there: %w", id, netns.ErrGone)
}

// gapOf says what could not be looked at.
func gapOf(id tcpvet.NetnsID, err error) tcpvet.Gap {
	var e *netns.EnterError
	if errors.As(err, &e) {
		return e.Gap()
	}
	return tcpvet.Gap{What: "sockets", Where: fmt.Sprintf("netns %d", id), Netns: id, Err: err.Error()}
}
