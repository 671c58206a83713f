package cli

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/probe"
	"github.com/tcpvet/tcpvet/probe/live"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
)

// explaining explains failures in a goroutine of its own and prints them in their
// order: a look takes longer than events may wait.
type explaining struct {
	queue  chan tcpvet.Event
	done   sync.WaitGroup
	broken atomic.Pointer[error] // why nothing more could be printed
}

// mostUnexplained is how many failures wait to be explained. What comes while so many
// wait is printed without.
const mostUnexplained = 4096

// explain begins to. While ctx goes on a look is taken for what needs one.
func (p *eventPrinter) explain(ctx context.Context, names *namespaceNames) {
	x := &explaining{queue: make(chan tcpvet.Event, mostUnexplained)}
	explainer := live.NewExplainer(live.ExplainOptions{})
	said := said{advised: make(map[tcpvet.Cause]bool), gaps: make(map[tcpvet.Gap]bool)}
	x.done.Go(func() {
		for e := range x.queue {
			if x.failed() != nil {
				continue
			}
			why := explainer.Explain(ctx, &e)
			e.Cause = why.Cause
			if err := p.explained(&e, &why, names, said); err != nil {
				x.broken.CompareAndSwap(nil, &err)
			}
		}
	})
	p.explainer = x
}

// said is what was said below earlier failures and need not be said again.
type said struct {
	advised map[tcpvet.Cause]bool
	gaps    map[tcpvet.Gap]bool
}

// mostGapsSaid bounds what is remembered of gaps; after that all are said again.
const mostGapsSaid = 1024

// fresh gives the gaps that were not said yet.
func (s said) fresh(gaps []tcpvet.Gap) (out []tcpvet.Gap) {
	if len(s.gaps) >= mostGapsSaid {
		clear(s.gaps)
	}
	for _, g := range gaps {
		if !s.gaps[g] {
			s.gaps[g] = true
			out = append(out, g)
		}
	}
	return out
}

// ask takes a copy of e to be explained and printed; false where too many wait.
func (x *explaining) ask(e *tcpvet.Event) bool {
	c := *e
	c.Stack = slices.Clone(e.Stack)
	select {
	case x.queue <- c:
		return true
	default:
		return false
	}
}

func (x *explaining) failed() error {
	if err := x.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// end waits until all was printed.
func (x *explaining) end() error {
	close(x.queue)
	x.done.Wait()
	return x.failed()
}

// explained prints a failure with its reason. What helps is said once for each cause.
func (p *eventPrinter) explained(e *tcpvet.Event, why *probe.Explanation, names *namespaceNames, said said) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch show := p.show.(type) {
	case *eventLines:
		line, err := jsonv1.Lookup{Netns: names.of}.AppendFailure(show.line[:0], e, why)
		if err != nil {
			return err
		}
		show.line = append(line, '\n')
		_, err = show.out.Write(show.line)
		return err
	case *report.Events:
		if err := show.Event(e); err != nil {
			return err
		}
		// What was said a moment ago of a failure alike is not said again.
		if !why.Repeated {
			advice := !said.advised[why.Cause]
			said.advised[why.Cause] = true
			why.Gaps = said.fresh(why.Gaps)
			show.Explain(why, p.t.style(), advice)
		}
		if len(p.explainer.queue) > 0 {
			return nil
		}
		return show.Flush()
	}
	return p.show.Event(e)
}
