// Package lab stages the faults that tcpvet finds, on the running kernel, in
// network namespaces of its own.
//
// A Scenario is a fault, or a lesson. It is played on a Stage, which is this
// program run again inside a private network namespace (Enter). The stage has
// Hosts, which are namespaces too, and links between them. What happens on a
// host is done by Processes: again this program, each playing one Act, or real
// programs. The scenario tells what it did and measured as the Steps of a
// Story, and where rules are to judge says which have to find something.
//
// Nothing outlives a run, however it ends: the stage is killed with the process
// that entered it, its processes with the stage, and the kernel drops a
// namespace, with its interfaces and mounts, with the last process in it. Files
// are made only in file systems that such a namespace owns.
package lab

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Scenario is one fault or lesson, with the processes that make it.
type Scenario struct {
	Name  string // of the rule that it stages, or of what it teaches: "close-wait-leak"
	Title string // one line: what goes wrong

	// Source says what it stages, in one line: a claim of the article, a
	// section of an RFC, a file of the kernel. "article: four-way close; RFC
	// 9293, section 3.6".
	Source string

	// Claims are the claims of the article that it proves or corrects: numbers
	// of tcpvet explain article.
	Claims []int

	// Needs are what this machine has to have beside namespaces.
	Needs []Need

	// Expects names the rules that it stages: each has to find something at
	// one of its moments at least. None for a quiet scenario. They are the
	// Rules of all its Expects together, as long as the Options are the usual
	// ones.
	Expects []string

	// Acts are what its processes play.
	Acts []Act

	// Descriptors is the largest number of descriptors that any one of its
	// processes opens; nil for fewer than 1024.
	Descriptors func(Options) int

	// Constants are words of its sentences that hold figures which are no
	// measurements of this play: constants of TCP or of Linux, releases,
	// figures that belong to names. "after 60 s"; "since Linux 4.12".
	Constants []string

	// Play stages the fault and tells each step once it is done. It need
	// not end its processes.
	Play func(context.Context, *Stage) error
}

// Options sets how a scenario is played. The zero value lacks Looks and Judge.
type Options struct {
	// Ports is the size of the local port range of scenarios that fill one,
	// an even number from MinPorts to MaxPorts; 0 means 1000.
	Ports int

	// Patience is how long a fault has to last on the stage before it is
	// looked at, and what the rules are to judge it by; 0 means 2 s.
	Patience time.Duration

	// Looks are the ways to look at the stage, at least one. Each moment is
	// judged by all of them.
	Looks []Look

	// Watch is how the play itself looks, to wait for a state and to make
	// tables; the first of Looks where it is not set. It has to see all that
	// plays ask for, which not every source can tell.
	Watch Look

	// Judge judges what a look saw by all rules.
	Judge func(tcpvet.Case) Verdict

	// Tell receives each step as soon as it is done; nil for nobody.
	Tell func(Step)

	// Doing is told what begins now and takes more than a second; nil for nobody.
	Doing func(what string)
}

// The bounds of Options.Ports. The largest still fits above port 32768, where
// Linux begins its own range.
const (
	MinPorts     = 10
	MaxPorts     = 28000
	defaultPorts = 1000
)

const (
	defaultPatience    = 2 * time.Second
	defaultDescriptors = 1024
)

func (o Options) withDefaults() Options {
	if o.Ports == 0 {
		o.Ports = defaultPorts
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Watch.Take == nil && len(o.Looks) > 0 {
		o.Watch = o.Looks[0]
	}
	return o
}

func (sc *Scenario) descriptors(o Options) uint64 {
	if sc.Descriptors == nil {
		return defaultDescriptors
	}
	return uint64(sc.Descriptors(o))
}

// Check tells that a size is out of bounds.
func (o Options) Check() error {
	o = o.withDefaults()
	switch {
	case o.Ports < MinPorts || o.Ports > MaxPorts:
		return fmt.Errorf("%d local ports asked for: take an even number from %d to %d", o.Ports, MinPorts, MaxPorts)
	case o.Ports%2 != 0:
		// __inet_hash_connect makes the number of ports that it tries
		// even: whether it comes to the last one of an odd range hangs
		// on where it begins.
		return fmt.Errorf("%d local ports asked for: take an even number, the kernel comes to the last port of an odd range only by chance", o.Ports)
	}
	return nil
}

// Check tells what stands in the way of playing the scenario with these
// options: a size out of bounds, or a descriptor limit that is too low. It
// needs no stage, and does not ask for the Needs: see Unmet.
func (sc *Scenario) Check(o Options) error {
	if err := o.Check(); err != nil {
		return fmt.Errorf("stage %s: %w", sc.Name, err)
	}
	o = o.withDefaults()
	// Go raises the soft limit to the hard one when a program starts.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the descriptor limit: %w", err)
	}
	need := sc.descriptors(o)
	if need <= limit.Max {
		return nil
	}
	next := "raise the limit"
	for less := o; less.Ports > MinPorts; {
		less.Ports -= 2
		if sc.descriptors(less) <= limit.Max {
			next = fmt.Sprintf("ask for at most %d ports, or raise the limit", less.Ports)
			break
		}
	}
	what := fmt.Sprintf("%d descriptors for %d local ports", need, o.Ports)
	if sc.Descriptors == nil {
		what = fmt.Sprintf("up to %d descriptors", need)
	}
	return fmt.Errorf("stage %s: one process needs %s, and the hard limit is %d (ulimit -Hn): %s", sc.Name, what, limit.Max, next)
}

// Play plays the scenario inside the stage that this process is (see Enter),
// and ends everything that the scenario started. The stage is used up then. The
// story holds the steps told so far even where an error came; that is ctx.Err()
// or context.Canceled where the play was stopped, and an *UnmetError where this
// machine lacks what the scenario needs. That the rules judged otherwise than
// expected is no error: see Story.Outcome.
func Play(ctx context.Context, sc *Scenario, o Options) (*Story, error) {
	begin := time.Now()
	story := &Story{Scenario: sc.Name, Title: sc.Title, expects: sc.Expects}
	if err := sc.Check(o); err != nil {
		return story, err
	}
	if err := sc.Unmet(); err != nil {
		return story, err
	}
	if len(o.Looks) == 0 || o.Judge == nil {
		return story, fmt.Errorf("play %s: %w", sc.Name, errors.New("nobody looks, or nobody judges: set Options.Looks and Options.Judge"))
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
	story.Took = time.Since(begin)
	if ctx.Err() != nil {
		// Whatever failed, failed because the play was stopped.
		return story, fmt.Errorf("play %s: stopped (%v): %w", sc.Name, context.Cause(ctx), ctx.Err())
	}
	if err != nil {
		return story, fmt.Errorf("play %s: %w", sc.Name, err)
	}
	return story, nil
}
