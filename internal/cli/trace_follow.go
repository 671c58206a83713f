package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/owner"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/trace"
	"github.com/tcpvet/tcpvet/vet"
)

// errEnough ends a trace that has told as many events as were asked for.
var errEnough = errors.New("enough events were told")

// follow prints events until the time is over or asked ends, which is the normal end.
// What is still to be explained then is explained while asked goes on.
func (t *tracing) follow(asked context.Context) error {
	namespaces, err := t.inside()
	if err != nil {
		return err
	}
	names := new(namespaceNames)
	show, err := t.shower(newAbandoning(asked, t.stdio.Out), names)
	if err != nil {
		return err
	}
	p := &eventPrinter{t: t, show: show}
	o := trace.Options{Kinds: t.kinds(), Netns: namespaces, Calls: true, Stacks: t.stacks, Ring: t.ring, Idle: p.flush}
	var named symbols
	if t.stacks {
		named = newSymbols()
		defer named.Close()
		o.Frames, o.Python, o.Choose = named.frames, named.PythonLayout, t.choice.has
	}
	tracer, err := trace.Open(o)
	if err != nil {
		return untraceable(err)
	}
	defer tracer.Close()
	warnGaps(t.stdio.Err, tracer.Missing())
	end := t.remember()
	defer end()
	if t.failures {
		p.explain(asked, names)
	}
	until, cancel := t.until(asked)
	defer cancel()
	t.tellBegin()
	if err := p.flush(); err != nil { // the titles: that it has begun shows
		return err
	}
	err = tracer.Run(until, p.event)
	if errors.Is(err, errEnough) || until.Err() != nil && errors.Is(err, until.Err()) {
		err = nil
	}
	if left := p.end(); err == nil {
		err = left // else it failed for the same reason
	}
	if err != nil {
		return err
	}
	t.tellUnfollowed(tracer.Stats())
	if t.stacks {
		if err := tracer.Close(); err != nil { // which has used what is asked now
			return err
		}
		warnGaps(t.stdio.Err, named.Gaps())
	}
	p.told.tell(t.stdio.Err, t.failures)
	return nil
}

// untraceable says why nothing can be traced, and what to do about it.
func untraceable(err error) error {
	missing, ok := errors.AsType[*trace.MissingError](err)
	if !ok || !slices.ContainsFunc(missing.Needs, func(need string) bool { return strings.HasPrefix(need, "CAP_") }) {
		return &exit{statusBlind, err}
	}
	if os.Geteuid() == 0 {
		return &exit{statusBlind, fmt.Errorf("%w; root was left without here, as in most containers", err)}
	}
	return &exit{statusBlind, fmt.Errorf("%w; run it as root", err)}
}

// kinds are what the kernel is to tell.
func (t *tracing) kinds() trace.Kinds {
	switch {
	case t.failures:
		return trace.Fails
	case t.states:
		return trace.Opens | trace.Fails | trace.Closes | trace.States
	}
	return trace.Opens | trace.Fails | trace.Closes
}

// inside gives the namespaces to look at, none for all.
func (t *tracing) inside() ([]tcpvet.NetnsID, error) {
	n := t.namespaces()
	switch {
	case n.All:
		return nil, nil
	case len(n.Names) == 0:
		id, err := netns.Self()
		if err != nil {
			return nil, &exit{statusBlind, err}
		}
		return []tcpvet.NetnsID{id}, nil
	}
	found, _, err := netns.Find(netns.Options{})
	if err == nil {
		found, err = netns.Select(found, n.Names)
	}
	if err != nil {
		return nil, &exit{statusBlind, err}
	}
	ids := make([]tcpvet.NetnsID, 0, len(found))
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return ids, nil
}

// remember lets ls, count and budget name who had what is in TIME-WAIT, until end.
func (t *tracing) remember() (end func()) {
	if t.forget {
		return func() {}
	}
	keeper, err := owner.Keep(owner.Options{})
	if err != nil {
		fmt.Fprintln(t.stdio.Err, "cannot", err)
		return func() {}
	}
	return func() {
		if st, err := keeper.Stats(); err == nil && st.Forgotten > 0 {
			fmt.Fprintf(t.stdio.Err, "not remembered: whose %s in TIME-WAIT were, too many at once\n", vet.Counted(st.Forgotten, "connection"))
		}
		if err := keeper.Close(); err != nil {
			fmt.Fprintln(t.stdio.Err, "tcpvet:", err)
		}
	}
}

// tellBegin says that it traces: what happens from now on is seen, and it may be long
// until something does.
func (t *tracing) tellBegin() { fmt.Fprintln(t.stdio.Err, "tracing; Ctrl-C ends") }

func (t *tracing) tellUnfollowed(st trace.Stats) {
	if st.Swept > 0 {
		fmt.Fprintf(t.stdio.Err, "not seen: %s, which the kernel passed over\n", vet.Counted(st.Swept, "close"))
	}
	if st.Unfollowed > 0 {
		warnGaps(t.stdio.Err, []tcpvet.Gap{{
			What: "what was before", Where: vet.Counted(st.Unfollowed, "connection"), Err: "too many were open at once to follow each: times and who closed first are not known of these",
		}})
	}
}

// eventPrinter prints the events that are chosen.
type eventPrinter struct {
	t       *tracing
	told    traced
	printed uint64

	mu   sync.Mutex // of what follows: failures are explained aside
	show eventShower

	explainer *explaining // nil where nothing is explained
}

func (p *eventPrinter) event(e *tcpvet.Event) error {
	if !p.t.choice.has(e) {
		return nil
	}
	p.told.add(e)
	if err := p.print(e); err != nil {
		return err
	}
	if p.printed++; p.printed == p.t.limit {
		return errEnough
	}
	return nil
}

func (p *eventPrinter) print(e *tcpvet.Event) error {
	if p.explainer != nil && e.Kind == tcpvet.EventFail && p.explainer.ask(e) {
		return p.explainer.failed()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.show.Event(e)
}

func (p *eventPrinter) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.show.Flush()
}

// end prints what is left.
func (p *eventPrinter) end() error {
	if p.explainer != nil {
		if err := p.explainer.end(); err != nil {
			return err
		}
	}
	return p.flush()
}

// style is how the text below a line is laid out.
func (t *tracing) style() report.Style {
	return report.Style{Color: t.out.colored(t.stdio.Out), Width: width(t.stdio.Out, 100)}
}
