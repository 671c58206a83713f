package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// ErrOutside is returned by Play in a process that is no stage.
var ErrOutside = errors.New("not inside a stage: call Enter first")

// errAbandoned ends a play whose stage lost the process that entered it, or
// was told by it to stop.
var errAbandoned = errors.New("the stage was told to end")

// Stage is where a scenario is played.
type Stage struct {
	Ports    int           // Options.Ports
	Patience time.Duration // Options.Patience

	// Host is the host whose network namespace the stage itself is in.
	Host *Host

	look func(context.Context) (tcpvet.Census, error)
	tell func(Step)
}

// Tell adds a step to the story.
func (s *Stage) Tell(step Step) { s.tell(step) }

// Ends looks at both ends of the connections to a service of the stage.
func (s *Stage) Ends(ctx context.Context, service netip.AddrPort) (Ends, error) {
	census, err := s.look(ctx)
	if err != nil {
		return Ends{}, fmt.Errorf("look at the stage: %w", err)
	}
	return EndsOf(&census, service), nil
}

// Case looks at the stage for the rules to judge.
func (s *Stage) Case(ctx context.Context) (*tcpvet.Case, error) {
	census, err := s.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the stage: %w", err)
	}
	return &tcpvet.Case{Now: census, Patience: s.Patience}, nil
}

// open makes a stage of this process. The context that it returns ends with ctx
// and with the lifeline.
func open(ctx context.Context, o Options) (*Stage, context.Context, error) {
	if err := verifyInside(); err != nil {
		return nil, ctx, fmt.Errorf("open the stage: %w", err)
	}
	// What the stage starts is no stage.
	if err := os.Unsetenv(stageVariable); err != nil {
		return nil, ctx, fmt.Errorf("open the stage: %w", err)
	}
	ctx, end := context.WithCancelCause(ctx)
	line := os.NewFile(lifeline, "lifeline")
	go func() {
		_, _ = line.Read(make([]byte, 1))
		end(errAbandoned)
	}()
	host := newHost()
	if err := host.do(raiseLoopback); err != nil {
		host.close()
		return nil, ctx, fmt.Errorf("open the stage: bring the loopback interface up: %w", explainDenied(err, readSysctl))
	}
	return &Stage{Ports: o.Ports, Patience: o.Patience, Host: host, look: o.Look}, ctx, nil
}

func (s *Stage) close() { s.Host.close() }

// verifyInside makes sure that this process is a stage, whatever the
// environment says: settings are about to be changed here. A new network
// namespace is another one than outside, and its loopback interface is down.
func verifyInside() error {
	outside, ok := os.LookupEnv(stageVariable)
	if !ok {
		return ErrOutside
	}
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("read one's own network namespace: %w", err)
	}
	up, err := loopbackUp()
	if err != nil {
		return fmt.Errorf("look at the loopback interface: %w", err)
	}
	if here == outside || up {
		return fmt.Errorf("%s is set, and yet this network namespace is in use: %w", stageVariable, ErrOutside)
	}
	var st unix.Stat_t
	if err := unix.Fstat(lifeline, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return fmt.Errorf("%s is set, and descriptor %d is no pipe: %w", stageVariable, lifeline, ErrOutside)
	}
	unix.CloseOnExec(lifeline)
	return nil
}

// Wait waits, or returns early with the reason why ctx ended.
func Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
