package remedy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/netns"
)

// timersBPF asks for and sets the timers of sockets by an iterator over those of a
// network namespace. The zero value loads its programs when they are first needed.
type timersBPF struct {
	objects timersObjects
	loaded  bool
	why     error // why they could not be loaded
	most    int   // how many sockets one pass asks for: the size of the table
	buf     []byte
}

// A pass goes over all sockets of a namespace. So the table is made for as many as are
// asked for at first, within these bounds, and more than it holds go in several passes.
const (
	leastWanted = 1 << 16
	mostWanted  = maxChanges
)

// load puts the programs into the kernel, with a table for n sockets. They stay until
// the process ends or the garbage collector finds them.
func (b *timersBPF) load(n int) error {
	if b.loaded || b.why != nil {
		return b.why
	}
	b.most = min(max(n, leastWanted), mostWanted)
	b.why = b.tryLoad()
	b.loaded, b.buf = b.why == nil, make([]byte, 64<<10)
	return b.why
}

func (b *timersBPF) tryLoad() error {
	spec, err := loadTimers()
	if err != nil {
		return fmt.Errorf("read BPF object: %w", err)
	}
	spec.Maps["sockets"].MaxEntries = uint32(b.most)
	if err = spec.LoadAndAssign(&b.objects, nil); err == nil {
		return nil
	}
	needs, because, e := kernel.MissingForBPF(kernel.Need{Name: "BPF iterators (Linux 5.11)", Probe: kernel.BPFIterators})
	switch {
	case e != nil:
		return e
	case len(needs) > 0 && because != nil:
		return fmt.Errorf("by BPF it needs %s: %w", strings.Join(needs, " and "), because)
	case len(needs) > 0:
		return errors.New("by BPF it needs " + strings.Join(needs, " and "))
	}
	return fmt.Errorf("load BPF programs: %w", err)
}

// do answers the jobs to which it finds a way. The error is the first that kept it from
// one of the namespaces.
func (b *timersBPF) do(ctx context.Context, jobs []*timersJob) error {
	if err := b.load(len(jobs)); err != nil {
		return err
	}
	of := make(map[tcpvet.NetnsID][]*timersJob)
	var ids []tcpvet.NetnsID
	for _, j := range jobs {
		id := j.target.Netns
		if of[id] == nil {
			ids = append(ids, id)
		}
		of[id] = append(of[id], j)
	}
	var first error
	err := inside(ctx, ids, func(id tcpvet.NetnsID, err error) {
		switch {
		case errors.Is(err, netns.ErrGone):
			for _, j := range of[id] {
				j.answer = closed
			}
			return
		case err == nil:
			for part := range slices.Chunk(of[id], b.most) {
				if err = b.here(ctx, part); err != nil {
					break
				}
			}
		}
		if err != nil && first == nil {
			first = err
		}
	})
	if err != nil {
		return err
	}
	return first
}

// here answers jobs about sockets of the thread's namespace.
func (b *timersBPF) here(ctx context.Context, jobs []*timersJob) error {
	open := make(map[uint64]*timersJob, len(jobs))
	program := b.objects.Tell
	for _, j := range jobs {
		open[j.target.Cookie] = j
		if j.set != 0 {
			program = b.objects.Change
		}
	}
	// Connections that come and go can make an iterator pass over one that stays
	// (older kernels): what was not met is looked for once more.
	for round := 0; round < 2 && len(open) > 0; round++ {
		cookies, err := b.want(open)
		if err != nil {
			return err
		}
		err = b.pass(ctx, program, open)
		if _, e := b.objects.Sockets.BatchDelete(cookies, nil); e != nil && err == nil {
			err = fmt.Errorf("empty the table of sockets: %w", e)
		}
		if err != nil {
			return err
		}
	}
	for _, j := range open {
		j.answer = closed
	}
	return nil
}

// want puts the jobs into the table that the programs read, which is empty, and gives
// the cookies.
func (b *timersBPF) want(open map[uint64]*timersJob) ([]uint64, error) {
	cookies := make([]uint64, 0, len(open))
	values := make([][wantedLen]byte, len(open))
	for cookie, j := range open {
		encodeWanted(values[len(cookies)][:], j.to, j.set, j.fromNow)
		cookies = append(cookies, cookie)
	}
	if _, err := b.objects.Sockets.BatchUpdate(cookies, values, nil); err != nil {
		return nil, fmt.Errorf("tell BPF of %d sockets: %w", len(cookies), err)
	}
	return cookies, nil
}

// pass goes over the sockets of the thread's namespace, and takes those that it met
// out of open.
func (b *timersBPF) pass(ctx context.Context, program *ebpf.Program, open map[uint64]*timersJob) error {
	it, err := link.AttachIter(link.IterOptions{Program: program})
	if err != nil {
		return fmt.Errorf("attach BPF iterator over sockets: %w", err)
	}
	defer it.Close()
	r, err := it.Open()
	if err != nil {
		return fmt.Errorf("open BPF iterator over sockets: %w", err)
	}
	defer r.Close()
	return readTold(ctx, r, b.buf, func(t told) {
		if j := open[t.cookie]; j != nil {
			j.take(t)
			delete(open, t.cookie)
		}
	})
}

// readTold reads to the end. An iterator that writes nothing for a million sockets
// answers EAGAIN and goes on from there (kernel function bpf_seq_read).
func readTold(ctx context.Context, r io.Reader, buf []byte, each func(told)) error {
	kept := 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf[kept:])
		rest := buf[:kept+max(n, 0)]
		for ; len(rest) >= toldLen; rest = rest[toldLen:] {
			t, err := decodeTold(rest[:toldLen])
			if err != nil {
				return err
			}
			each(t)
		}
		kept = copy(buf, rest)
		switch {
		case err == nil, errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case errors.Is(err, io.EOF) && kept == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("read BPF iterator over sockets: %d bytes at the end: %w", kept, io.ErrUnexpectedEOF)
		default:
			return fmt.Errorf("read BPF iterator over sockets: %w", err)
		}
	}
}

// take is the answer of the kernel.
func (j *timersJob) take(t told) {
	switch {
	case t.dead:
		j.answer, j.state = closed, t.state
	case t.state == tcpvet.SynRecv:
		j.answer, j.err = refused, errHandshake
	case t.errno != 0 && !t.tried:
		// Before Linux 6.1 these programs cannot read. A descriptor may help.
		j.err = &optionError{t.at, syscall.Errno(t.errno)}
	case t.errno != 0:
		j.answer, j.now, j.err = failed, t.timers, &optionError{t.at, syscall.Errno(t.errno)}
	default:
		j.answer, j.now = answered, t.timers
	}
}
