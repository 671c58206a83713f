package bpfiter

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/tcpvet/tcpvet"
)

// defaultBound is how many groups, and how many tuples, the kernel keeps.
const defaultBound = 1 << 16

// Options say what a Counter counts. The zero value counts by state only.
type Options struct {
	// Groups and Tuples bound the kernel's tables; 0 means 65,536. A socket
	// for which they have no room is told to the caller instead.
	Groups, Tuples int

	// Info also folds what tcp_info tells: ages and idle times, keepalive,
	// who waits for a silent peer, and which ends were accepted.
	Info bool

	// Closed has what nobody holds any more and one process has closed first told
	// to the caller, who may know which: TIME-WAIT, and orphans in FIN-WAIT-1,
	// FIN-WAIT-2 and CLOSING.
	Closed bool
}

// Counter counts sockets in the kernel. It is for one goroutine at a time, and
// for one look, unless Reset is called.
type Counter struct {
	opt     Options
	objects censusObjects
	passes  *passes
	closing link.Link // nil where the kernel does not let closes be counted
	missed  uint64    // changes that the program had not seen before Reset
}

// NewCounter loads the programs: some 70 ms of CPU time. Where something is
// missing the error is a *MissingError.
func NewCounter(opt Options) (*Counter, error) {
	if opt.Groups <= 0 {
		opt.Groups = defaultBound
	}
	if opt.Tuples <= 0 {
		opt.Tuples = defaultBound
	}
	c := &Counter{opt: opt}
	err := load(loadCensus, &c.objects, func(sp *ebpf.CollectionSpec) {
		sp.Maps[censusMapGroups].MaxEntries = uint32(opt.Groups)
		sp.Maps[censusMapDetails].MaxEntries = uint32(opt.Groups)
		sp.Maps[censusMapTuples].MaxEntries = uint32(opt.Tuples)
	})
	if err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Counter) prepare() (err error) {
	if err := c.objects.SpanEdges.Set(spanEdges()); err != nil {
		return fmt.Errorf("set the edges of spans: %w", err)
	}
	// Some kernels forbid programs at tracepoints: then it stays unknown.
	c.closing, _ = link.AttachTracing(link.TracingOptions{Program: c.objects.Closing})
	c.passes, err = newPasses(c.objects.Held, c.objects.Rest, c.objects.Pass)
	return err
}

// set says what to fold.
func (c *Counter) set(p *passState) {
	p.States, p.Info, p.Counting = uint32(tcpvet.AllStates), 0, 1
	if c.opt.Info {
		p.Info = 1
	}
	if c.opt.Closed {
		p.Closed = 1
	}
}

// Space tells what the sockets of a namespace are judged by. It has to be called
// before Held, for each namespace that is looked at: sockets of others are in
// Elsewhere alone.
func (c *Counter) Space(id tcpvet.NetnsID, sp Space) error {
	key := uint32(id)
	if err := c.objects.Spaces.Put(key, sp.bytes()); err != nil {
		return fmt.Errorf("tell the kernel of netns %d: %w", id, err)
	}
	if !sp.reserved() {
		return nil
	}
	if err := c.objects.Reserved.Put(key, portBits(&sp.Ports.Reserved)); err != nil {
		return fmt.Errorf("tell the kernel of the reserved ports of netns %d: %w", id, err)
	}
	return nil
}

// Held goes over the descriptors of all processes that the caller's PID namespace
// shows, in whatever network namespace their sockets are. It folds the sockets
// into the kernel's tables, and hands over those that the caller has to fold:
// listeners, merely bound ones, those that several descriptors may hold, and those
// for which a table has no room (Stats.Overflow). The Socket holds until yield
// returns, and has its Role.
//
// An error of yield or of ctx ends the pass; the tables are then of no use.
func (c *Counter) Held(ctx context.Context, yield func(*tcpvet.Socket) error) (Stats, error) {
	return c.passes.heldPass(ctx, c.set, yield)
}

// Rest does as Held with the sockets of the calling thread's network namespace
// which no descriptor that Held saw holds: see the package comment.
func (c *Counter) Rest(ctx context.Context, yield func(*tcpvet.Socket) error) (Stats, error) {
	return c.passes.restPass(ctx, c.set, yield)
}

// Groups hands over what was folded, by group. Each Tally belongs to the caller.
func (c *Counter) Groups(yield func(tcpvet.Group, *tcpvet.Tally) error) error {
	var detail [detailLen]byte
	return entries(c.objects.Groups, func(key *[groupKeyLen]byte, value *[tallyLen]byte) error {
		g, err := decodeGroup(key[:])
		if err != nil {
			return err
		}
		t := new(tcpvet.Tally)
		id, err := decodeTally(value[:], t)
		if err != nil {
			return err
		}
		if t.Total() == 0 {
			return nil // what came with it found no room
		}
		if id != 0 {
			if err := c.objects.Details.Lookup(id, &detail); err != nil {
				return fmt.Errorf("read the details of a group: %w", err)
			}
			if err := decodeDetail(detail[:], t); err != nil {
				return err
			}
		}
		return yield(g, t)
	})
}

// Tuples hands over the ports that were counted, by tuple.
func (c *Counter) Tuples(yield func(tcpvet.Tuple, *tcpvet.Budget) error) error {
	return entries(c.objects.Tuples, func(key *[tupleKeyLen]byte, value *[budgetLen]byte) error {
		t, err := decodeTuple(key[:])
		if err != nil {
			return err
		}
		b := new(tcpvet.Budget)
		if err := decodeBudget(value[:], b); err != nil {
			return err
		}
		if *b == (tcpvet.Budget{}) {
			return nil
		}
		return yield(t, b)
	})
}

// Processes gives every process with a descriptor, as Held saw it.
func (c *Counter) Processes(yield func(tcpvet.Process, Process) error) error {
	return eachProcess(c.objects.Processes, yield)
}

// Elsewhere gives how many sockets the passes came by in namespaces that Space was not
// called for. A socket that several descriptors hold counts for each.
func (c *Counter) Elsewhere(yield func(tcpvet.NetnsID, uint64) error) error {
	return entries(c.objects.Elsewhere, func(key *uint32, value *uint64) error {
		return yield(tcpvet.NetnsID(*key), *value)
	})
}

// MPTCP gives how many MPTCP sockets the last Held met by their descriptors in the
// namespaces that it was told of, as Stream.MPTCP does.
func (c *Counter) MPTCP() map[tcpvet.NetnsID]int { return c.passes.mptcp.spaces }

// Reset empties the tables for another look.
func (c *Counter) Reset() error {
	err := errors.Join(
		empty[[groupKeyLen]byte, [tallyLen]byte](c.objects.Groups),
		empty[uint32, [detailLen]byte](c.objects.Details),
		empty[[tupleKeyLen]byte, [budgetLen]byte](c.objects.Tuples),
		empty[[processKeyLen]byte, [processLen]byte](c.objects.Processes),
		empty[[tableKeyLen]byte, [1]byte](c.objects.Visited),
		empty[uint32, uint64](c.objects.Elsewhere),
		empty[uint32, [spaceLen]byte](c.objects.Spaces),
		empty[uint32, [portsLen]byte](c.objects.Reserved),
		c.objects.Pass.Set(&passState{}),
		c.objects.Closes.Set(uint64(0)),
	)
	if err != nil {
		return fmt.Errorf("empty the kernel's tables: %w", err)
	}
	if c.closing != nil {
		if c.missed, err = c.misses(); err != nil {
			return err
		}
	}
	seen, err := c.objects.Seen.Memory()
	if err != nil {
		return fmt.Errorf("empty the kernel's tables: %w", err)
	}
	if _, err := seen.WriteAt(make([]byte, seen.Size()), 0); err != nil {
		return fmt.Errorf("empty the kernel's tables: %w", err)
	}
	return nil
}

// Closes gives how many sockets have begun to close, or ended, since the namespaces
// were told by Space: what was counted can be off by as many. One that closes in two
// steps counts twice, and so does any change that came while the processor was
// counting another, which the kernel passes over and counts. ok is false where the
// kernel does not tell.
func (c *Counter) Closes() (n uint64, ok bool) {
	if c.closing == nil {
		return 0, false
	}
	missed, err := c.misses()
	if err != nil || c.objects.Closes.Get(&n) != nil {
		return 0, false
	}
	return n + missed - c.missed, true
}

// misses is how many changes the kernel passed over since the program was loaded.
func (c *Counter) misses() (uint64, error) {
	st, err := c.objects.Closing.Stats()
	if err != nil {
		return 0, fmt.Errorf("read what the kernel passed over: %w", err)
	}
	return st.RecursionMisses, nil
}

// Close takes the programs and tables out of the kernel.
func (c *Counter) Close() error {
	if c.closing != nil {
		c.closing.Close()
	}
	return c.objects.Close()
}
