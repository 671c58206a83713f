package bpfiter

import (
	"context"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/tcpvet/tcpvet"
)

// Stream tells of sockets one by one. It is for one goroutine at a time.
type Stream struct {
	objects streamObjects
	passes  *passes
	counted bool // the descriptors of processes
}

// NewStream loads the programs. Where something is missing the error is a
// *MissingError.
func NewStream() (*Stream, error) {
	s := new(Stream)
	if err := load(loadStream, &s.objects, nil); err != nil {
		return nil, err
	}
	var err error
	if s.passes, err = newPasses(s.objects.Held, s.objects.Rest, s.objects.Pass); err != nil {
		s.objects.Close()
		return nil, err
	}
	return s, nil
}

// load puts an object into the kernel, as change has changed it.
func load(spec func() (*ebpf.CollectionSpec, error), objects any, change func(*ebpf.CollectionSpec)) error {
	sp, err := spec()
	if err != nil {
		return fmt.Errorf("read BPF object: %w", err)
	}
	if change != nil {
		change(sp)
	}
	if err := sp.LoadAndAssign(objects, nil); err != nil {
		if missing := Probe(); missing != nil {
			return missing
		}
		return fmt.Errorf("load BPF programs: %w", err)
	}
	return nil
}

// Held goes over the descriptors of all processes that the caller's PID namespace
// shows, in whatever network namespace their sockets are, and hands over the
// sockets in those states; 0 stands for all. The Socket holds until yield returns;
// its Role is unknown. Sockets that several descriptors may hold come last, once
// each, whatever their namespace. It may be called again for other states: those
// which it was asked for are what Rest passes over.
//
// An error of yield or of ctx ends the pass.
func (s *Stream) Held(ctx context.Context, states tcpvet.StateSet, yield func(*tcpvet.Socket) error) (Stats, error) {
	st, err := s.passes.heldPass(ctx, func(p *passState) {
		want(p, states)
		p.Counting = 0
		if !s.counted {
			p.Counting = 1
		}
	}, yield)
	s.counted = s.counted || err == nil
	return st, err
}

// Rest hands over the sockets in those states which are in the network namespace
// of the calling thread, and which no descriptor that Held saw holds: see the
// package comment.
func (s *Stream) Rest(ctx context.Context, states tcpvet.StateSet, yield func(*tcpvet.Socket) error) (Stats, error) {
	return s.passes.restPass(ctx, func(p *passState) { want(p, states) }, yield)
}

func want(p *passState, states tcpvet.StateSet) {
	if states == 0 {
		states = tcpvet.AllStates
	}
	p.States, p.Info = uint32(states), 1
}

// Holder gives who holds the MPTCP socket with that inode, as the last Held saw it:
// the process that started first, and the others. Its listener and its connections
// have that inode, and Rest tells of them, not Held. ok is false where no
// descriptor of MPTCP has it.
func (s *Stream) Holder(inode uint64) (first tcpvet.Process, others []tcpvet.Process, ok bool) {
	return s.passes.mptcp.holder(inode)
}

// MPTCP gives how many MPTCP sockets the last Held met by their descriptors, by
// namespace. Those that are merely bound are not among them, since Held tells of these.
func (s *Stream) MPTCP() map[tcpvet.NetnsID]int { return s.passes.mptcp.spaces }

// Processes gives every process with a descriptor, as the first Held saw it.
func (s *Stream) Processes(yield func(tcpvet.Process, Process) error) error {
	return eachProcess(s.objects.Processes, yield)
}

// Close takes the programs and tables out of the kernel.
func (s *Stream) Close() error { return s.objects.Close() }
