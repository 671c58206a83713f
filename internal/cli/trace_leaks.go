package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/report"
	"github.com/tcpvet/tcpvet/report/jsonv1"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/trace"
)

// mostLeakLook is how long the look at the end may take: whoever pressed Ctrl-C
// waits for it.
const mostLeakLook = time.Minute

// leaking watches what opens until the time is over, and then looks once for what has
// stayed in CLOSE-WAIT, and which lines opened it. Where nothing can be watched it
// looks at once: the groups are then without lines.
func (t *tracing) leaking(asked context.Context) error {
	src, err := source.Open(t.source)
	if err != nil {
		return &exit{statusBlind, err}
	}
	named := newSymbols()
	defer named.Close()
	stacks, missing := trace.OpenStacks(trace.StacksOptions{Python: named.PythonLayout})
	end := t.remember()
	defer end()
	if missing == nil {
		until, cancel := t.until(asked)
		t.tellBegin()
		t.wait(until)
		cancel()
	} else if asked.Err() != nil {
		return asked.Err()
	}

	// Ctrl-C ended the watching, and not what it was for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(asked), mostLeakLook)
	defer cancel()
	var take source.TakeOptions
	if !t.sel.all() {
		take.Fold.Select = t.sel.match
	}
	found, err := stacks.Leaks(ctx, trace.LeakOptions{
		Source: src, Netns: t.namespaces(), Take: take, OlderThan: t.olderThan,
		Frames: named.frames, Advice: named.Advice, Missing: missing,
	})
	if stacks != nil {
		err = errors.Join(err, stacks.Close())
	}
	found.Census.Gaps = append(found.Census.Gaps, named.Gaps()...)
	if err != nil && len(found.Groups) == 0 {
		return &exit{statusBlind, err}
	}
	if perr := t.printLeaks(&found); perr != nil {
		return perr
	}
	if err != nil {
		return &exit{statusBlind, err}
	}
	return nil
}

func (t *tracing) printLeaks(l *tcpvet.Leaks) error {
	if t.out.format == "json" {
		return document(t.stdio.Out, jsonv1.LeaksOf(l))
	}
	return report.Leaks(t.stdio.Out, l, t.style(), t.out.format == "wide")
}

// wait waits until the context ends, and says on a terminal for how long it has.
func (t *tracing) wait(until context.Context) {
	if !terminal(t.stdio.Err) {
		<-until.Done()
		return
	}
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-until.Done():
			fmt.Fprint(t.stdio.Err, "\r\x1b[K")
			return
		case <-tick.C:
			left := "Ctrl-C ends and shows the leaks"
			if deadline, ok := until.Deadline(); ok {
				left = fmt.Sprintf("%.0f s left", time.Until(deadline).Seconds())
			}
			fmt.Fprintf(t.stdio.Err, "\rwatching what opens: %.0f s, %s\x1b[K", time.Since(began).Seconds(), left)
		}
	}
}
