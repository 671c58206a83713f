package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// newcomers tells the kernel where processes have their Python interpreter, and where
// their goroutines.
type newcomers struct {
	mu     sync.Mutex                  // held while python or Frames run
	python func(tcpvet.Process) []byte // nil where nobody can tell
	ring   *ringbuf.Reader
	done   chan struct{}
	young  []newcomer // that are asked again
}

// newcomer is a process that runs Python, and is not up yet.
type newcomer struct {
	tcpvet.Process
	until time.Time // when to give up
}

const (
	newcomerLen = 16 // of struct newcomer in bpf/stacks.bpf.c

	// An interpreter is up some 10 ms after it was started, on an idle machine, and a
	// first import takes as long again.
	askAgain = 5 * time.Millisecond
	giveUp   = 2 * time.Second

	// mostYoung bounds those that are asked again.
	mostYoung = 256
)

// seek tells the kernel of every interpreter that is there, and of those to come.
func (s *Stacks) seek(python func(tcpvet.Process) []byte) error {
	p := &s.newcomers
	p.python = python
	var err error
	if p.ring, err = ringbuf.NewReader(s.objects.Newcomers); err != nil {
		return fmt.Errorf("take stacks: read of new processes: %w", err)
	}
	p.done = make(chan struct{})
	go s.meet()
	if python == nil {
		return nil
	}
	// Where exec() cannot be watched an interpreter is met at its first connection.
	if l, err := link.AttachTracing(link.TracingOptions{Program: s.objects.Executed}); err == nil {
		s.links = append(s.links, l)
	}
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("take stacks: look for interpreters: %w", err)
	}
	for _, d := range dirs {
		if pid, err := strconv.ParseInt(d.Name(), 10, 32); err == nil {
			s.greet(int32(pid))
		}
	}
	return nil
}

// greet introduces a process that was there before, if its program is an interpreter.
// Others that hold one are met at their first connection.
func (s *Stacks) greet(pid int32) {
	exe, err := os.Readlink("/proc/" + strconv.Itoa(int(pid)) + "/exe")
	if err != nil || !strings.HasPrefix(path.Base(exe), "python") {
		return
	}
	if at, _, err := (procfs.FS{}).Descriptors(pid); err == nil {
		s.introduce(at)
	}
}

// meet asks where each newcomer has what is to be read of it, until the ring is closed.
func (s *Stacks) meet() {
	p := &s.newcomers
	defer close(p.done)
	var r ringbuf.Record
	for {
		if len(p.young) > 0 {
			p.ring.SetDeadline(time.Now().Add(askAgain))
		} else {
			p.ring.SetDeadline(time.Time{})
		}
		switch err := p.ring.ReadInto(&r); {
		case err == nil:
			at, kind, ok := decodeNewcomer(r.RawSample)
			switch {
			case !ok:
			case kind == kindGo:
				s.introduceGo(at)
			case p.python != nil && !s.introduce(at) && kind == kindPython && len(p.young) < mostYoung:
				p.young = append(p.young, newcomer{at, time.Now().Add(giveUp)})
			}
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return
		}
		s.askYoung(time.Now())
	}
}

// askYoung asks those again that were not up.
func (s *Stacks) askYoung(now time.Time) {
	left := s.newcomers.young[:0]
	for _, n := range s.newcomers.young {
		if now.Before(n.until) && !s.introduce(n.Process) {
			left = append(left, n)
		}
	}
	s.newcomers.young = left
}

// introduce tells the kernel of the interpreter of a process, if it has one that is up.
func (s *Stacks) introduce(at tcpvet.Process) bool {
	s.newcomers.mu.Lock()
	layout := s.newcomers.python(at)
	s.newcomers.mu.Unlock()
	// Where the table is full the process goes without.
	return layout != nil && s.objects.Pythons.Put(at.PID, layout) == nil
}

// alone keeps read from running while Python is asked.
func (s *Stacks) alone(read Frames) Frames {
	return func(p tcpvet.Process, k *Stack) []tcpvet.Frame {
		s.newcomers.mu.Lock()
		defer s.newcomers.mu.Unlock()
		return read(p, k)
	}
}

// stop ends meet.
func (p *newcomers) stop() error {
	if p.ring == nil {
		return nil
	}
	err := p.ring.Close()
	<-p.done
	return err
}

// The kinds of struct newcomer, beside 0.
const kindPython, kindGo = 1, 2

// decodeNewcomer reads a struct newcomer.
func decodeNewcomer(b []byte) (at tcpvet.Process, kind uint32, ok bool) {
	if len(b) < newcomerLen {
		return tcpvet.Process{}, 0, false
	}
	at = tcpvet.Process{Start: binary.LittleEndian.Uint64(b), PID: int32(binary.LittleEndian.Uint32(b[8:]))}
	return at, binary.LittleEndian.Uint32(b[12:]), at.PID > 0
}

// introduceGo tells the kernel where a program has its goroutines, if it says so.
func (s *Stacks) introduceGo(at tcpvet.Process) {
	dir := "/proc/" + strconv.Itoa(int(at.PID))
	exe, err := os.Open(dir + "/exe")
	if err != nil {
		return
	}
	defer exe.Close()
	l, err := readGoLayout(exe)
	if err != nil {
		return
	}
	begin, err := programBegin(dir)
	if err != nil {
		return
	}
	// Where the table is full the process goes without.
	_ = s.objects.Gos.Put(at.PID, l.encode(at.Start, begin))
}

// programBegin gives where the program of a process begins in memory.
func programBegin(dir string) (uint64, error) {
	exe, err := os.Readlink(dir + "/exe")
	if err != nil {
		return 0, err
	}
	f, err := os.Open(dir + "/maps")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return mappedAt(io.LimitReader(f, mostMaps), exe)
}

// mostMaps bounds what is read of a list of mappings. A program is among the first.
const mostMaps = 1 << 20

// mappedAt finds the mapping of a file's begin (proc_pid_maps(5)). Lower mappings may
// come first: Go's heap does.
func mappedAt(maps io.Reader, file string) (uint64, error) {
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		// address perms offset dev inode path
		line := lines.Text()
		if f := strings.Fields(line); len(f) < 6 || f[2] != "00000000" || !strings.HasSuffix(line, " "+file) {
			continue
		}
		low, _, _ := strings.Cut(line, "-")
		return strconv.ParseUint(low, 16, 64)
	}
	return 0, fmt.Errorf("find %s in the mappings: it is not there", file)
}
