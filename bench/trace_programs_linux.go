package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// programs lists what is loaded into the kernel.
func programs() (map[ebpf.ProgramID]bool, error) {
	all := map[ebpf.ProgramID]bool{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list programs in the kernel: %w", err)
		}
		all[next], id = true, next
	}
}

// following waits until the tracer has loaded programs, and loads no more.
func following(before map[ebpf.ProgramID]bool) error {
	const settled = 500 * time.Millisecond
	more, since := 0, time.Now()
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		now, err := programs()
		if err != nil {
			return err
		}
		n := 0
		for id := range now {
			if !before[id] {
				n++
			}
		}
		if n != more {
			more, since = n, time.Now()
		}
		if more > 0 && time.Since(since) > settled {
			return nil
		}
	}
	return errors.New("wait for the tracer: its programs are not loaded after 10 s")
}

// runTime sums what programs that were not there before have run, and how often.
func runTime(before map[ebpf.ProgramID]bool) (sum time.Duration, runs uint64, err error) {
	now, err := programs()
	if err != nil {
		return 0, 0, err
	}
	for id := range now {
		if before[id] {
			continue
		}
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("open program %d: %w", id, err)
		}
		st, err := p.Stats()
		p.Close()
		if err != nil {
			return 0, 0, err
		}
		sum += st.Runtime
		runs += st.RunCount
	}
	return sum, runs, nil
}

// clock is a program that does nothing, at the tracepoint that tracers use: what the
// kernel says that it takes is what measuring takes, of every program.
type clock struct {
	program *ebpf.Program
	link    link.Link
}

func newClock() (*clock, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bench_clock", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "inet_sock_set_state", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("measure what measuring takes: %w", err)
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("measure what measuring takes: %w", err)
	}
	return &clock{p, l}, nil
}

func (c *clock) perRun() (time.Duration, error) {
	st, err := c.program.Stats()
	if err != nil {
		return 0, err
	}
	if st.RunCount == 0 {
		return 0, errors.New("measure what measuring takes: the program has not run")
	}
	return st.Runtime / time.Duration(st.RunCount), nil
}

func (c *clock) close() {
	c.link.Close()
	c.program.Close()
}
