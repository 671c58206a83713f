package scenarios

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet/lab"
)

// diagnosis waits until the fault is older than patience, has the rules judge it, and
// tells that as a step. where says what is looked at: "this namespace".
func diagnosis(ctx context.Context, s *lab.Stage, where string, e lab.Expect, means ...string) error {
	if err := lab.Wait(ctx, s.Patience); err != nil {
		return err
	}
	step := lab.Step{Name: "diagnosis", Title: "What tcpvet diagnose says", Means: means}
	if err := s.Judge(ctx, &step, e); err != nil {
		return err
	}
	step.Done = []string{fmt.Sprintf("It looks at %s, with %s of patience instead of a minute.", where, step.Seconds("patience_seconds", s.Patience))}
	s.Tell(step)
	return nil
}
