package trace

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf/link"

	"github.com/tcpvet/tcpvet"
)

// Counter counts what opens, fails and closes, and tells of none of it: a few dozen
// nanoseconds a change.
type Counter struct {
	objects tallyObjects
	link    io.Closer
	each    []uint64 // a cell, by processor
}

const (
	tallyStates = 16
	tallyWays   = tcpvet.NumCloseHows * tcpvet.NumClosers
	tallyCells  = tallyStates*tallyStates + tallyWays + tcpvet.NumFailures
)

// OpenCounter begins to count in those network namespaces; none is all. Where that
// cannot be the error is a *MissingError, or another one where the reason is not known.
func OpenCounter(netns []tcpvet.NetnsID) (*Counter, error) {
	o, err := Options{Netns: netns}.bounded()
	if err != nil {
		return nil, err
	}
	s, err := newShared(o)
	if err != nil {
		return nil, fmt.Errorf("count connections: %w", err)
	}
	c := new(Counter)
	if err := s.load(loadTally, &c.objects); err != nil {
		return nil, err
	}
	if err := s.show(c.objects.Namespaces); err != nil {
		return nil, errors.Join(err, c.objects.Close())
	}
	if c.link, err = link.AttachTracing(link.TracingOptions{Program: c.objects.Tally}); err != nil {
		return nil, errors.Join(fmt.Errorf("attach to inet_sock_set_state: %w", err), c.objects.Close())
	}
	return c, nil
}

// Counts gives what was counted until now.
func (c *Counter) Counts() (tcpvet.EventCounts, error) {
	var all tcpvet.EventCounts
	for cell := range tallyCells {
		if err := c.objects.Cells.Lookup(uint32(cell), &c.each); err != nil {
			return all, fmt.Errorf("read what a BPF program counted: %w", err)
		}
		var n uint64
		for _, v := range c.each {
			n += v
		}
		addCell(&all, cell, n)
	}
	return all, nil
}

// addCell adds what a cell of bpf/tally.bpf.c counted.
func addCell(all *tcpvet.EventCounts, cell int, n uint64) {
	switch changes, closed := tallyStates*tallyStates, tallyStates*tallyStates+tallyWays; {
	case cell < changes:
		if from, to := cell/tallyStates, cell%tallyStates; from < tcpvet.NumStates && to < tcpvet.NumStates {
			all.Changes[from][to] = n
		}
	case cell < closed:
		cell -= changes
		all.Closed[cell/tcpvet.NumClosers][cell%tcpvet.NumClosers] = n
	default:
		all.Failed[cell-closed] = n
	}
}

// Close ends it.
func (c *Counter) Close() error { return errors.Join(c.link.Close(), c.objects.Close()) }
