package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet/lab"
)

// Demo is what tcpvet demo plays: CloseWaitLeak, with the cures of FixClose on the same
// process and of RunKeepalive on the same program. It is none of All.
var Demo = &lab.Scenario{
	Name:        "demo",
	Title:       "a client that closes no connection runs out of local ports, and is cured",
	Source:      CloseWaitLeak.Source,
	Expects:     CloseWaitLeak.Expects,
	Acts:        CloseWaitLeak.Acts,
	Descriptors: func(o lab.Options) int { return beyond(o.Ports+widening) + goingOn(o.Ports) + ownDescriptors },
	Constants:   slices.Concat(CloseWaitLeak.Constants, preventionConstants, []string{"a cgroup 2", "bpf(2)"}),
	Play: func(ctx context.Context, s *lab.Stage) error {
		l := &leak{Stage: s}
		p := &prevention{Stage: s, ports: s.Ports + widening}
		return inOrder(ctx,
			l.open, l.exhaust, l.bothEnds, l.otherService, l.settings, l.diagnosis, l.widerRange, l.closeOne,
			l.fixPlan, l.fixApply, l.goesOn, l.end, l.reuse,
			p.ifPossible)
	},
}

// ifPossible has the client run by tcpvet run, or says what that needs.
func (p *prevention) ifPossible(ctx context.Context) error {
	var lacks *lab.UnmetError
	err := running.Met()
	if err != nil {
		lacks = &lab.UnmetError{Need: running.Name, Err: err}
	} else if err = p.prevent(ctx); err == nil {
		return p.leave(ctx)
	} else if !errors.As(err, &lacks) {
		return err
	}
	p.Tell(lab.Step{Name: "run", Title: "The same client, under tcpvet run", Shown: []string{fmt.Sprintf("Not shown here: it %v.", lacks)}})
	return nil
}
