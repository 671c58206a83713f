package trace

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
)

// StacksOptions narrow and bound what is remembered. The zero value is fit for any host.
type StacksOptions struct {
	// Netns are the network namespaces to look at; none is all.
	Netns []tcpvet.NetnsID

	Connections int // that are open at once; 0 is 262,144
	Distinct    int // stacks that differ; 0 is 8,192

	// Python gives the bytes of struct python_layout in bpf/python.h of a process that
	// runs CPython, nil for another or where that is not up yet; nil where nobody
	// can tell. It is called by a goroutine of the Stacks, never while a Frames is.
	Python func(tcpvet.Process) []byte
}

// usualDistinct is how many stacks are kept. One takes 2 KiB of the kernel's memory.
const usualDistinct = 8192

// Stacks remembers, from when it was opened, the user stack of what opened each
// connection, for as long as the connection lives.
type Stacks struct {
	objects stacksObjects
	links   []link.Link
	since   time.Duration // CLOCK_MONOTONIC of the kernel
	ahead   time.Duration // of it, the reader's
	newcomers
	sweeper sweeper
	accepts error // why accept() is not watched, nil where it is
}

// StackStats say what was remembered and what was not.
type StackStats struct {
	Opened    uint64 // connections that were remembered
	Refused   uint64 // those for which there was no room
	Stackless uint64 // of Opened, those whose stack found no room
	Missed    uint64 // changes of any connection that came while the kernel was busy with another
	Swept     uint64 // connections of Opened whose end was such a change, and that were found closed since
}

// OpenStacks begins to remember. Where something that it needs is missing the error is a
// *MissingError; what it can do without is in Missing.
func OpenStacks(opt StacksOptions) (*Stacks, error) {
	shared, err := newShared(Options{Netns: opt.Netns})
	if err != nil {
		return nil, err
	}
	s := new(Stacks)
	if s.ahead, err = clockOffset("monotonic", unix.CLOCK_MONOTONIC); err != nil {
		return nil, err
	}
	var accepts []uint64
	accepts, s.accepts = kernel.TracepointIDs("syscalls", "sys_exit_accept", "sys_exit_accept4")
	shared.constants[stacksVarAccepts] = s.accepts == nil
	shared.entries[stacksMapOpenings] = uint32(cmp.Or(max(opt.Connections, 0), usualConnections))
	shared.entries[stacksMapStacks] = uint32(cmp.Or(max(opt.Distinct, 0), usualDistinct))
	if err := shared.load(loadStacks, &s.objects); err != nil {
		return nil, fmt.Errorf("take stacks: %w", err)
	}
	err = shared.show(s.objects.Namespaces)
	if err == nil {
		err = s.attach(accepts)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	if err := s.seek(opt.Python); err != nil {
		s.Close()
		return nil, err
	}
	s.sweeper.begin(s.sweep)
	s.since = s.Now()
	return s, nil
}

// attach lets the programs run. What one of them follows the other has to remember
// first.
func (s *Stacks) attach(accepts []uint64) error {
	for _, p := range []*ebpf.Program{s.objects.Follow, s.objects.Remember} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return fmt.Errorf("take stacks: attach to inet_sock_set_state: %w", err)
		}
		s.links = append(s.links, l)
	}
	for _, id := range accepts {
		l, err := attachTracepoint(id, s.objects.Accepted)
		if err != nil {
			s.accepts = fmt.Errorf("attach to the end of accept(): %w", err)
			break
		}
		s.links = append(s.links, l)
	}
	return nil
}

// Missing tells what is not watched: nil for nothing.
func (s *Stacks) Missing() []tcpvet.Gap {
	if s.accepts == nil {
		return nil
	}
	return []tcpvet.Gap{{
		What: "stacks of accept()", Err: s.accepts.Error(),
		Needs: needTracefs,
	}}
}

// Now reads the clock of Opening's times.
func (s *Stacks) Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(fmt.Sprintf("read the monotonic clock: %v", err)) // which every kernel has
	}
	return time.Duration(ts.Nano()) - s.ahead
}

// Since is when it began, by the kernel's monotonic clock.
func (s *Stacks) Since() time.Duration { return s.since }

// Opening tells who opened the connection whose socket has that cookie; ok is false
// where that is not known. What is over is known for a while.
func (s *Stacks) Opening(cookie uint64) (o Opening, ok bool, err error) {
	b, err := s.objects.Openings.LookupBytes(cookie)
	if err == nil && b == nil {
		b, err = s.objects.Closed.LookupBytes(cookie)
	}
	if err != nil {
		return Opening{}, false, fmt.Errorf("look up who opened a connection: %w", err)
	}
	if b == nil {
		return Opening{}, false, nil
	}
	o, err = decodeOpening(b)
	return o, err == nil, err
}

// Stack gives a stack; ok is false for 0.
func (s *Stacks) Stack(id StackID) (k Stack, ok bool, err error) {
	if id == 0 {
		return Stack{}, false, nil
	}
	b, err := s.objects.Stacks.LookupBytes(uint64(id))
	if err != nil {
		return Stack{}, false, fmt.Errorf("look up a stack: %w", err)
	}
	if b == nil {
		return Stack{}, false, nil
	}
	k, err = decodeStack(b)
	return k, err == nil, err
}

// Stats gives what was remembered until now.
func (s *Stacks) Stats() (StackStats, error) {
	var counts struct{ Opened, Refused, Stackless, Swept uint64 }
	if err := s.objects.Counts.Get(&counts); err != nil {
		return StackStats{}, fmt.Errorf("read what was remembered: %w", err)
	}
	st := StackStats{Opened: counts.Opened, Refused: counts.Refused, Stackless: counts.Stackless, Swept: counts.Swept}
	for _, p := range []*ebpf.Program{s.objects.Follow, s.objects.Remember} {
		ps, err := p.Stats()
		if err != nil {
			return st, fmt.Errorf("read what was missed: %w", err)
		}
		st.Missed += ps.RecursionMisses
	}
	return st, nil
}

// Close ends it and forgets everything.
func (s *Stacks) Close() error {
	s.sweeper.end()
	errs := []error{s.stop()}
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, s.objects.Close())...)
}

// clockOffset tells how far the reader's clock, by name and number, is ahead of the
// kernel's (time_namespaces(7)).
func clockOffset(name string, number int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/self/timens_offsets")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // before Linux 5.6, or without CONFIG_TIME_NS
	}
	if err != nil {
		return 0, fmt.Errorf("read offset of the %s clock: %w", name, err)
	}
	return parseClockOffset(string(text), name, number)
}

// parseClockOffset reads lines of a clock's name or number, seconds and nanoseconds.
func parseClockOffset(text, name string, number int) (time.Duration, error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != name && f[0] != strconv.Itoa(number) {
			continue
		}
		sec, err := strconv.ParseInt(f[1], 10, 34)
		nsec, err2 := strconv.ParseInt(f[2], 10, 34)
		if err := errors.Join(err, err2); err != nil {
			return 0, fmt.Errorf("read offset of the %s clock: line %q: %w", name, strings.TrimSpace(line), err)
		}
		return time.Duration(sec)*time.Second + time.Duration(nsec), nil
	}
	return 0, nil
}
