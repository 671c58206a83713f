package bpfiter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// Stats say how a pass went.
type Stats struct {
	Sockets  uint64 // that the pass counted or told of
	Folded   uint64 // of these, the ones in the kernel's tables
	Overflow uint64 // of those told, the ones for which a table had no room
	Changed  uint64 // sockets seen to change meanwhile: told before, or ended
	Skipped  uint64 // mini-sockets left out since they were born after Held began
	Untold   uint64 // processes whose descriptors found no room to be counted in
}

// passState is struct pass in bpf/record.h.
type passState struct {
	MSMul                              uint64
	States, Info, Counting, Number     uint32
	Closed, _                          uint32
	Began, BeganJiffies                uint64
	Folded, Changed, Skipped, LostProc uint64
}

// passes runs the two programs of an object.
type passes struct {
	held, rest *ebpf.Program
	state      *ebpf.Variable
	hz         uint32
	buf        []byte
	mptcp      mptcp // of the last pass over descriptors
}

// hertz gives the kernel's ticks a second: its coarse clock steps by one tick
// (kernel function posix_get_coarse_res).
func hertz() (uint32, error) {
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return 0, fmt.Errorf("read the length of the kernel's tick: %w", err)
	}
	hz := math.Round(1e9 / float64(max(res.Nano(), 1)))
	if hz < 1 || hz > 1e6 {
		return 0, fmt.Errorf("read the length of the kernel's tick: %d ns", res.Nano())
	}
	return uint32(hz), nil
}

func newPasses(held, rest *ebpf.Program, state *ebpf.Variable) (*passes, error) {
	hz, err := hertz()
	if err != nil {
		return nil, err
	}
	return &passes{held: held, rest: rest, state: state, hz: hz, buf: make([]byte, 64<<10)}, nil
}

// run reads one pass. The iterator belongs to the namespaces of the calling
// thread.
func (p *passes) run(ctx context.Context, prog *ebpf.Program, set func(*passState), each func(*record) error) (Stats, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after passState
	if err := p.state.Get(&before); err != nil {
		return Stats{}, fmt.Errorf("read the state of a pass: %w", err)
	}
	before.MSMul = (1000<<32 + uint64(p.hz) - 1) / uint64(p.hz)
	before.Number++
	set(&before)
	if err := p.state.Set(&before); err != nil {
		return Stats{}, fmt.Errorf("set the state of a pass: %w", err)
	}
	if err := p.read(ctx, prog, each); err != nil {
		return Stats{}, err
	}
	if err := p.state.Get(&after); err != nil {
		return Stats{}, fmt.Errorf("read the state of a pass: %w", err)
	}
	return Stats{
		Folded: after.Folded - before.Folded, Changed: after.Changed - before.Changed,
		Skipped: after.Skipped - before.Skipped, Untold: after.LostProc - before.LostProc,
	}, nil
}

func (p *passes) read(ctx context.Context, prog *ebpf.Program, each func(*record) error) error {
	it, err := link.AttachIter(link.IterOptions{Program: prog})
	if err != nil {
		return fmt.Errorf("attach BPF iterator: %w", err)
	}
	defer it.Close()
	r, err := it.Open()
	if err != nil {
		return fmt.Errorf("open BPF iterator: %w", err)
	}
	defer r.Close()
	return records(ctx, r, p.buf, p.hz, each)
}

// records reads to the end. An iterator that writes nothing for a million objects
// answers EAGAIN and goes on from there (kernel function bpf_seq_read).
func records(ctx context.Context, r io.Reader, buf []byte, hz uint32, each func(*record) error) error {
	var rec record
	kept := 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf[kept:])
		if n > 0 {
			b := buf[:kept+n]
			for ; len(b) >= recordLen; b = b[recordLen:] {
				if err := decodeRecord(b[:recordLen], hz, &rec); err != nil {
					return err
				}
				if err := each(&rec); err != nil {
					return err
				}
			}
			kept = copy(buf, b)
		}
		switch {
		case err == nil, errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case errors.Is(err, io.EOF):
			if kept > 0 {
				return fmt.Errorf("read BPF iterator: %d bytes at the end: %w", kept, io.ErrUnexpectedEOF)
			}
			return nil
		default:
			return fmt.Errorf("read BPF iterator: %w", err)
		}
	}
}

// heldPass goes over all descriptors. Those that may be shared come last.
func (p *passes) heldPass(ctx context.Context, set func(*passState), yield func(*tcpvet.Socket) error) (Stats, error) {
	var told Stats
	var sh shared
	p.mptcp = mptcp{}
	var asked passState
	set(&asked)
	bound := tcpvet.StateSet(asked.States).Has(tcpvet.BoundInactive)
	tell := func(s *tcpvet.Socket) error {
		told.Sockets++
		return yield(s)
	}
	st, err := p.run(ctx, p.held, set, func(r *record) error {
		if r.flags&flagMPTCP != 0 {
			p.mptcp.add(r, bound)
			return nil
		}
		if r.flags&flagShared != 0 {
			sh.add(r)
			return nil
		}
		if r.flags&flagNoRoom != 0 {
			told.Overflow++
		}
		return tell(&r.Socket)
	})
	if err == nil {
		err = sh.each(tell)
	}
	if err == nil {
		err = p.mptcp.each(tell)
	}
	st.Sockets, st.Overflow, st.Changed = st.Folded+told.Sockets, told.Overflow, st.Changed+sh.changed
	return st, err
}

// restPass goes over what has no descriptor that heldPass saw.
func (p *passes) restPass(ctx context.Context, set func(*passState), yield func(*tcpvet.Socket) error) (Stats, error) {
	var told Stats
	st, err := p.run(ctx, p.rest, set, func(r *record) error {
		told.Sockets++
		if r.flags&flagNoRoom != 0 {
			told.Overflow++
		}
		if r.flags&flagMPTCP != 0 {
			if first, others, ok := p.mptcp.holder(r.Inode); ok {
				r.Holder, r.SharedWith = first, others
			}
		}
		return yield(&r.Socket)
	})
	st.Sockets, st.Overflow = st.Folded+told.Sockets, told.Overflow
	return st, err
}
