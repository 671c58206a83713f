package trace

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source"
)

// LeakOptions say how to look for leaks.
type LeakOptions struct {
	// Source looks; its best are those that tell cookies and who holds a socket.
	Source source.Source

	// Netns are the namespaces to look at.
	Netns source.Namespaces

	// Take may narrow what is counted, by Fold.Select. Its Watch is not used.
	Take source.TakeOptions

	// OlderThan is how long a connection has to be in CLOSE-WAIT; 0 counts each.
	OlderThan time.Duration

	// Frames makes addresses readable, and Advice says what to switch on in a
	// process so that its stacks tell more; nil for nothing.
	Frames Frames
	Advice func(tcpvet.Process) string

	// Missing is why there are no Stacks, where there are none.
	Missing error
}

// leakFacts are what a look for leaks wants to know of a socket.
const leakFacts = tcpvet.FactQueues | tcpvet.FactInode | tcpvet.FactCookie | tcpvet.FactTimer | tcpvet.FactInfo | tcpvet.FactNetns |
	tcpvet.FactHolders | tcpvet.FactContainers | tcpvet.FactListeners | tcpvet.FactPortRange

// Leaks looks once, and joins what is in CLOSE-WAIT with what opened it. s may be nil:
// then no stack is known, and the groups are those of processes and services.
//
// What ends the look early is an error; the groups are then of what was seen.
func (s *Stacks) Leaks(ctx context.Context, opt LeakOptions) (tcpvet.Leaks, error) {
	w := &leakWatch{stacks: s, selects: opt.Take.Fold.Select, processes: make(map[tcpvet.Process]tcpvet.ProcessInfo)}
	opt.Take.Watch = func(o tcpvet.Observer) tcpvet.Observer {
		// Once for each try: what the last one gathered is void.
		w.Observer = o
		w.leaks = leaks{olderThan: opt.OlderThan, sums: make(map[leakKey]*leakSum)}
		w.begin()
		return w
	}
	q := source.Query{States: tcpvet.SetOf(tcpvet.CloseWait), Want: leakFacts, Netns: opt.Netns}
	census, err := source.Take(ctx, opt.Source, q, opt.Take)
	out := tcpvet.Leaks{Census: census, OlderThan: opt.OlderThan, Younger: w.leaks.younger}
	if s == nil && opt.Missing != nil {
		out.Census.Gaps = append(out.Census.Gaps, gap("stacks", opt.Missing))
	}
	if s != nil {
		out.Traced = w.leaks.now - s.since
		out.Census.Gaps = append(out.Census.Gaps, w.gaps()...)
	}
	if s != nil {
		s.newcomers.mu.Lock()
		defer s.newcomers.mu.Unlock()
	}
	out.Groups = w.leaks.groups(w.stack, opt.Frames)
	for i := range out.Groups {
		g := &out.Groups[i]
		if _, own := g.Own(); opt.Advice != nil && g.Stack != nil && own < 0 {
			g.Advice = opt.Advice(cmp.Or(g.Opener, g.Process))
		}
	}
	return out, err
}

// leakWatch is an Observer that gathers sockets in CLOSE-WAIT on their way.
type leakWatch struct {
	tcpvet.Observer
	stacks    *Stacks
	leaks     leaks
	stats     StackStats
	selects   func(*tcpvet.Socket, func(tcpvet.Process) tcpvet.ProcessInfo) bool
	processes map[tcpvet.Process]tcpvet.ProcessInfo
	failed    error // of the first look-up that failed
}

// begin notes the time, and what openings were not remembered until now.
func (w *leakWatch) begin() {
	if w.stacks == nil {
		return
	}
	var err error
	if w.stats, err = w.stacks.Stats(); err != nil {
		w.fail(err)
	}
	w.leaks.since, w.leaks.now = w.stacks.since, w.stacks.Now()
	w.leaks.complete = err == nil && w.stats.Refused == 0 && w.stats.Missed == 0
}

func (w *leakWatch) Process(p tcpvet.Process, i tcpvet.ProcessInfo) {
	w.processes[p] = i
	w.Observer.Process(p, i)
}

func (w *leakWatch) Socket(sk *tcpvet.Socket) error {
	if err := w.Observer.Socket(sk); err != nil {
		return err
	}
	if sk.State != tcpvet.CloseWait || w.selects != nil && !w.selects(sk, func(p tcpvet.Process) tcpvet.ProcessInfo { return w.processes[p] }) {
		return nil
	}
	var o Opening
	var ok bool
	if w.stacks != nil && sk.Knows(tcpvet.FactCookie) {
		var err error
		if o, ok, err = w.stacks.Opening(sk.Cookie); err != nil {
			w.fail(err)
		}
	}
	w.leaks.add(sk, o, ok)
	return nil
}

func (w *leakWatch) stack(id StackID) (Stack, bool) {
	if w.stacks == nil {
		return Stack{}, false
	}
	k, ok, err := w.stacks.Stack(id)
	if err != nil {
		w.fail(err)
	}
	return k, ok
}

func (w *leakWatch) fail(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

// gaps tell what of the openings is not known.
func (w *leakWatch) gaps() []tcpvet.Gap {
	gaps := w.stacks.Missing()
	if w.failed != nil {
		gaps = append(gaps, tcpvet.Gap{What: "stacks", Err: w.failed.Error()})
	}
	for _, lack := range []struct {
		n    uint64
		what string
		err  string
	}{
		{w.stats.Refused, "who opened some connections", "%d were opened while the table of connections was full"},
		{w.stats.Stackless, "stacks", "those of %d connections found no room beside so many that differ"},
		{w.stats.Missed, "who opened some connections", "%d changes came while the kernel was busy with another"},
	} {
		if lack.n > 0 {
			gaps = append(gaps, tcpvet.Gap{What: lack.what, Err: fmt.Sprintf(lack.err, lack.n)})
		}
	}
	return gaps
}
