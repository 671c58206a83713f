package trace

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// calls tells what connect(), bind(), socket() and accept() answer, where that is a
// failure: BPF programs at the ends of these calls, which share a trace's ring.
//
// The kernel shows the calls of 64-bit programs there. Those of 32-bit programs on a
// 64-bit kernel, and what io_uring does, are not seen; the failures that change a
// socket's state are told all the same. While it is open each call of any program
// costs some 60 ns more, since the kernel looks whether it is one of these.
type calls struct {
	objects callsObjects
	closers []io.Closer
}

// openCalls begins to tell.
func openCalls(s *shared) (io.Closer, error) {
	names := []string{"sys_exit_connect", "sys_exit_bind", "sys_exit_socket", "sys_exit_accept", "sys_exit_accept4"}
	ids, err := kernel.TracepointIDs("syscalls", names...)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, &MissingError{Doing: "trace", Needs: []string{"tracepoints of system calls (CONFIG_FTRACE_SYSCALLS)"}, Err: err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return nil, &MissingError{Doing: "trace", Needs: []string{needTracefs}, Err: err}
	case err != nil:
		return nil, err
	}
	c := new(calls)
	if err := s.load(loadCalls, &c.objects); err != nil {
		return nil, fmt.Errorf("load BPF programs of failing calls: %w", err)
	}
	c.closers = append(c.closers, &c.objects)
	programs := []*ebpf.Program{c.objects.ConnectEnds, c.objects.BindEnds, c.objects.SocketEnds, c.objects.AcceptEnds2, c.objects.AcceptEnds4}
	for i, program := range programs {
		l, err := attachTracepoint(ids[i], program)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("attach to tracepoint %s: %w", names[i], err)
		}
		c.closers = append(c.closers, l)
	}
	return c, nil
}

// Close ends it.
func (c *calls) Close() error {
	var errs []error
	for _, closer := range c.closers {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}
