package scenarios

import (
	"context"
	"fmt"
	"slices"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/lab"
)

// onlooker is a rule that looks at a moment which is in order, and why it finds
// nothing.
type onlooker struct{ rule, why string }

// inOrderTo judges a moment at which no rule is to find anything. The step tells
// who looked, and why each keeps quiet; that one of them could not be judged is an
// error, but by procfs.
func inOrderTo(ctx context.Context, s *lab.Stage, step *lab.Step, e lab.Expect, who ...onlooker) error {
	if err := s.Judge(ctx, step, e); err != nil {
		return err
	}
	first := step.Judged[len(step.Judged)-1].Views[0]
	for _, o := range who {
		i := slices.IndexFunc(first.Verdict.Skipped, func(s lab.Skipped) bool { return s.Rule == o.rule })
		switch {
		case i < 0:
			step.Means = append(step.Means, o.rule+" looks at it: "+o.why)
		case first.Source == "procfs": // which cannot tell as much
			step.Means = append(step.Means, fmt.Sprintf("%s cannot look at it by %s, which lacks %s.", o.rule, first.Source, first.Verdict.Skipped[i].Missing))
		default:
			return fmt.Errorf("%s does not judge %s, of which is told why it is quiet: it lacks %s", first.Source, o.rule, first.Verdict.Skipped[i].Missing)
		}
	}
	return nil
}

// idleFor counts connections in ESTAB over all hosts, by keepalive, that have
// surely been idle for as long as that takes.
func idleFor(c *tcpvet.Census, idle func(*tcpvet.Histogram) uint64) (on, off uint64) {
	for _, t := range c.Groups {
		if t.Idle != nil {
			on += idle(&t.Idle.KeepaliveOn)
			off += idle(&t.Idle.KeepaliveOff)
		}
	}
	return on, off
}
