package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// Tracer follows sockets. One goroutine at a time may use it.
type Tracer struct {
	options Options
	objects changesObjects
	closers []io.Closer // the last first
	ring    *ring
	adopter *adopter     // nil where there is none
	stacks  *openers     // nil for none
	sweeper *connSweeper // nil where there is none
	missing []tcpvet.Gap
	counts  *ebpf.Memory
	places  *ebpf.Memory

	clock   clock
	batch   *batch
	names   *names
	fold    *fold
	record  record
	cookie  uint64
	conn    [2][connLen]byte
	yield   func(*tcpvet.Event) error // of the Run that goes on
	account Stats
}

// look is how often the ring is read. To wake up takes a tenth of a millisecond of a
// processor, as long as some hundred events.
const look = 50 * time.Millisecond

// Open begins to trace. Where nothing can be traced the error is a *MissingError, or
// another one where the reason is not known. What else of Options cannot be had is in
// Missing.
func Open(o Options) (*Tracer, error) {
	o, err := o.bounded()
	if err != nil {
		return nil, err
	}
	s, err := newShared(o)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &Tracer{options: o, batch: newBatch(), names: newNames()}
	t.fold = newFold(t.hand, make(goPrograms).is)
	if err := t.begin(s); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// tables are those that the objects of a trace share.
func (t *Tracer) tables() map[string]*ebpf.Map {
	o := &t.objects
	return map[string]*ebpf.Map{
		"ring": o.Ring, "counts": o.Counts, "namespaces": o.Namespaces, "told": o.Told, "conns": o.Conns, "places": o.Places, "passer": o.Passer,
	}
}

func (t *Tracer) begin(s *shared) error {
	if err := s.load(loadChanges, &t.objects); err != nil {
		return err
	}
	t.closers = append(t.closers, &t.objects)
	s.maps = t.tables()
	if err := s.show(t.objects.Namespaces); err != nil {
		return err
	}
	var err error
	if t.ring, err = mapRing(t.objects.Ring); err != nil {
		return err
	}
	t.closers = append(t.closers, t.ring)
	if t.counts, err = t.objects.Counts.Memory(); err != nil {
		return fmt.Errorf("map the counts of a trace: %w", err)
	}
	if t.places, err = t.objects.Places.Memory(); err != nil {
		return fmt.Errorf("map the connections of a trace: %w", err)
	}
	if t.clock.ahead, err = clockOffset("monotonic", unix.CLOCK_MONOTONIC); err != nil {
		return err
	}
	return t.attach(s)
}

// attach starts the programs: first what the changes rest on, last what there was.
func (t *Tracer) attach(s *shared) error {
	t.extend(s)
	for _, p := range []*ebpf.Program{t.objects.Changes, t.objects.ChangesBetween} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return fmt.Errorf("attach to inet_sock_set_state: %w", err)
		}
		t.closers = append(t.closers, l)
	}
	var err error
	if t.sweeper, err = openConnSweeper(s, t.places, t.options.places()); err != nil {
		t.missing = append(t.missing, gap("closes that the kernel passed over", err))
	} else {
		t.closers = append(t.closers, t.sweeper)
	}
	if t.options.PassShare < 0 {
		return nil
	}
	if t.adopter, err = openAdopter(s, t.options.PassShare); err != nil {
		t.missing = append(t.missing, gap("who holds accepted connections", err))
		return nil
	}
	t.closers = append(t.closers, t.adopter)
	return t.adopter.begin(uint32(t.options.Connections / 2))
}

// extend starts what was asked for beside the changes.
func (t *Tracer) extend(s *shared) {
	if t.options.Calls && t.options.Kinds&Fails != 0 {
		c, err := openCalls(s)
		if err != nil {
			t.missing = append(t.missing, gap("calls that fail", err))
		} else {
			t.closers = append(t.closers, c)
		}
	}
	if t.options.Stacks {
		st, err := openOpeners(t.options)
		if err != nil {
			t.missing = append(t.missing, gap("stacks", err))
		} else {
			t.stacks = st
			t.closers = append(t.closers, st)
		}
	}
}

// Missing names what was asked for and cannot be had here, and what it needs.
func (t *Tracer) Missing() []tcpvet.Gap { return t.missing }

// Run hands over what has happened since Open, and what happens until ctx ends or
// yield or Options.Idle gives an error, which is then Run's. The Event holds until
// yield returns.
func (t *Tracer) Run(ctx context.Context, yield func(*tcpvet.Event) error) error {
	t.yield = yield
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		ended := ctx.Err()
		if err := t.drain(); err != nil {
			return err
		}
		if err := t.sweep(ended != nil); err != nil {
			return err
		}
		if ended != nil {
			return errors.Join(t.fold.flush(), ended)
		}
		if t.options.Idle != nil {
			if err := t.options.Idle(); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Stats says how it goes.
func (t *Tracer) Stats() Stats {
	s := t.account
	if n, err := t.count(countNoRoom); err == nil {
		s.Unfollowed = n
	}
	if n, err := t.count(countUnseen); err == nil {
		s.Swept = n
	}
	if t.adopter != nil {
		s.Passes, s.Adopted = t.adopter.passes, t.adopter.found
	}
	return s
}

// Close ends the trace.
func (t *Tracer) Close() error {
	var errs []error
	for i := len(t.closers) - 1; i >= 0; i-- {
		errs = append(errs, t.closers[i].Close())
	}
	t.closers = nil
	return errors.Join(errs...)
}
