// Package lab stages the faults that tcpvet finds, on the running kernel, in
// network namespaces of its own.
//
// A Scenario is a fault. It is played on a Stage, which is this program run
// again inside a private network namespace (Enter). What happens on the stage
// is done by Processes: again this program, each playing one Act, on a Host.
// The scenario tells what it did and measured as the Steps of a Story.
//
// Nothing outlives a run, however it ends: the stage is killed with the process
// that entered it, the acts with the stage, and the kernel drops a namespace
// with the last process in it.
package lab

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Scenario is one fault, with the processes that make it.
type Scenario struct {
	Name  string // of the rule that it stages: "close-wait-leak"
	Title string // one line: what goes wrong

	// Acts are what its processes play.
	Acts []Act

	// Descriptors is the largest number of descriptors that any one of its
	// processes opens.
	Descriptors func(Options) int

	// Play stages the fault and tells each step once it is done. It need
	// not end its processes.
	Play func(context.Context, *Stage) error
}

// Options sets how a scenario is played. The zero value lacks only Look.
type Options struct {
	// Ports is the size of the local port range, an even number from
	// MinPorts to MaxPorts; 0 means 1000.
	Ports int

	// Patience is how long a fault has to last on the stage before it is
	// looked at, and what the rules are to judge it by; 0 means 2 s.
	Patience time.Duration

	// Look looks at the sockets of one's own network namespace, with
	// their holders. It is called inside the stage.
	Look func(context.Context) (tcpvet.Census, error)

	// Tell receives each step as soon as it is done; nil for nobody.
	Tell func(Step)
}

// The bounds of Options.Ports. The largest still fits above port 32768, where
// Linux begins its own range.
const (
	MinPorts     = 10
	MaxPorts     = 28000
	defaultPorts = 1000
)

const defaultPatience = 2 * time.Second

func (o Options) withDefaults() Options {
	if o.Ports == 0 {
		o.Ports = defaultPorts
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	return o
}

// Check tells what stands in the way of playing the scenario with these
// options: a size out of bounds, or a descriptor limit that is too low. It
// needs no stage.
func (sc *Scenario) Check(o Options) error {
	o = o.withDefaults()
	switch {
	case o.Ports < MinPorts || o.Ports > MaxPorts:
		return fmt.Errorf("stage %s: %d local ports asked for: take an even number from %d to %d", sc.Name, o.Ports, MinPorts, MaxPorts)
	case o.Ports%2 != 0:
		// __inet_hash_connect makes the number of ports that it tries
		// even: whether it comes to the last one of an odd range hangs
		// on where it begins.
		return fmt.Errorf("stage %s: %d local ports asked for: take an even number, the kernel comes to the last port of an odd range only by chance", sc.Name, o.Ports)
	}
	// Go raises the soft limit to the hard one when a program starts.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the descriptor limit: %w", err)
	}
	need := uint64(sc.Descriptors(o))
	if need <= limit.Max {
		return nil
	}
	next := "raise the limit"
	for less := o; less.Ports > MinPorts; {
		less.Ports -= 2
		if uint64(sc.Descriptors(less)) <= limit.Max {
			next = fmt.Sprintf("ask for at most %d ports, or raise the limit", less.Ports)
			break
		}
	}
	return fmt.Errorf("stage %s: one process needs %d descriptors for %d local ports, and the hard limit is %d (ulimit -Hn): %s",
		sc.Name, need, o.Ports, limit.Max, next)
}

// Play plays the scenario inside the stage that this process is (see Enter),
// and ends everything that the scenario started. The stage is used up then. The
// story holds the steps told so far even where an error came; that is ctx.Err()
// or context.Canceled where the play was stopped.
func Play(ctx context.Context, sc *Scenario, o Options) (*Story, error) {
	story := &Story{Scenario: sc.Name, Title: sc.Title}
	if err := sc.Check(o); err != nil {
		return story, err
	}
	stage, ctx, err := open(ctx, o.withDefaults())
	if err != nil {
		return story, err
	}
	defer stage.close()
	stage.tell = func(step Step) {
		story.Steps = append(story.Steps, step)
		if o.Tell != nil {
			o.Tell(step)
		}
	}
	err = sc.Play(ctx, stage)
	if ctx.Err() != nil {
		// Whatever failed, failed because the play was stopped.
		return story, fmt.Errorf("play %s: stopped (%v): %w", sc.Name, context.Cause(ctx), ctx.Err())
	}
	if err != nil {
		return story, fmt.Errorf("play %s: %w", sc.Name, err)
	}
	return story, nil
}
