package remedy

import (
	"context"

	"github.com/tcpvet/tcpvet"
)

// Plan is a plan that can be applied.
type Plan struct {
	tcpvet.Plan
	By Actor

	set *set // as it is written down, nil until it is applied
}

// Tell says what became of changes[i]. Each change is told of once at the most, by
// one goroutine at a time.
type Tell func(i int, outcome tcpvet.Outcome, reason string)

// Actor makes the changes of one kind of plan.
type Actor interface {
	// Present sets Before of each change that has no outcome to what its target
	// has now. Where the target is gone or may not be changed it sets Outcome and
	// Reason as well. An error means that nothing could be read, and nothing is
	// changed then.
	Present(ctx context.Context, changes []tcpvet.Change) error

	// Apply gives each target of a change that has no outcome the value After,
	// and tells what became of it. It may put into After what the kernel made
	// of the value, before it tells. What it does not tell of counts as not
	// tried; an error says why.
	Apply(ctx context.Context, changes []tcpvet.Change, tell Tell) error
}
