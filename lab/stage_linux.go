package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
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

	hosts []*Host // Host is the first
	links int     // made so far
	ends  []func()

	looks []Look
	watch Look
	judge func(tcpvet.Case) Verdict
	tell  func(Step)
	doing func(string)
}

// Tell adds a step to the story.
func (s *Stage) Tell(step Step) { s.tell(step) }

// Doing says what begins now and takes more than a second.
func (s *Stage) Doing(what string) {
	if s.doing != nil {
		s.doing(what)
	}
}

// NewHost adds a host: a network namespace of its own, with nothing but a
// loopback interface, which is up.
func (s *Stage) NewHost(ctx context.Context, name string) (*Host, error) {
	h := newHost(s, name)
	s.hosts = append(s.hosts, h)
	err := h.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return explainDenied(err, readSysctl)
		}
		return raiseLoopback()
	})
	if err != nil {
		return nil, fmt.Errorf("make the host %s: %w", name, err)
	}
	keeper, err := h.Start(keeper, "host-"+name)
	if err != nil {
		return nil, fmt.Errorf("make the host %s: %w", name, err)
	}
	// It answers once it has its name and ignores signals.
	if err := keeper.Cue(ctx, keeperReady, struct{}{}, &struct{}{}); err != nil {
		return nil, fmt.Errorf("make the host %s: %w", name, err)
	}
	h.PID = keeper.PID
	return h, nil
}

// keeper does nothing. A namespace is found through the processes that are in
// it, and only the thread of its host is in that of a new one.
var keeper = Act{Name: "keeper", Learn: func(c *Cues) {
	On(c, keeperReady, func(struct{}) (struct{}, error) { return struct{}{}, nil })
}}

const keeperReady = "ready" // struct{}, struct{}

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
	// Nor is it to have what the one who entered it was given beside the
	// standard descriptors: an act counts its own.
	if err := unix.CloseRange(lifeline, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return nil, ctx, fmt.Errorf("open the stage: keep descriptors from its processes: %w", err)
	}
	ctx, end := context.WithCancelCause(ctx)
	line := os.NewFile(lifeline, "lifeline")
	go func() {
		_, _ = line.Read(make([]byte, 1))
		end(errAbandoned)
	}()
	s := &Stage{Ports: o.Ports, Patience: o.Patience, looks: o.Looks, watch: o.Watch, judge: o.Judge, doing: o.Doing}
	s.Host = newHost(s, "stage")
	s.Host.PID = os.Getpid()
	s.hosts = []*Host{s.Host}
	if err := s.Host.Do(raiseLoopback); err != nil {
		s.close()
		return nil, ctx, fmt.Errorf("open the stage: bring the loopback interface up: %w", explainDenied(err, readSysctl))
	}
	return s, ctx, nil
}

// close ends what runs on the stage: processes first, then taps and tunnels,
// then the threads that hold the namespaces.
func (s *Stage) close() {
	for _, h := range s.hosts {
		h.killAll()
	}
	for _, end := range s.ends {
		end()
	}
	for _, h := range s.hosts {
		h.close()
	}
}

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
	unix.CloseOnExec(answering)
	return nil
}
