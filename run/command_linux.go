package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is a command whose sockets, and those of its children, get what the options
// say. It runs as if it had been run without tcpvet: with the same standard files and
// descriptors, environment, directory, process group and terminal.
type Command struct {
	Args []string
	Options
}

// Result is how a command ended.
type Result struct {
	Status  int // its exit status, or 128 and the number of the signal that ended it
	Summary Summary

	// Left are processes that it began and that live on. What their sockets have
	// they keep, and new ones get nothing. Group is their cgroup, "" where it was
	// removed.
	Left  []Member
	Group string
}

// Run runs the command to its end. Signals that come meanwhile are passed on to it, and
// it is for the command to end by them: no context ends it.
//
// An error is a *StartError where the command did not run. Any other tells, with the
// Result, that something could not be read or removed after it had.
func (c Command) Run() (*Result, error) {
	fail := func(status int, err error) (*Result, error) { return nil, &StartError{status, err} }
	if len(c.Args) == 0 {
		return fail(StatusFailed, errors.New("no command is given"))
	}
	if err := c.Check(); err != nil {
		return fail(StatusFailed, err)
	}
	path, err := exec.LookPath(c.Args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return fail(statusOf(err), err)
	}
	if err := Probe(); err != nil {
		return fail(StatusFailed, err)
	}
	if err := checkLocal(c.Pool); err != nil {
		return fail(StatusFailed, err)
	}
	g, err := newGroup()
	if err != nil {
		return fail(StatusFailed, err)
	}
	defer g.dir.Close()
	p, err := attach(g, c.Options)
	if err != nil {
		_, removal := g.remove()
		return fail(StatusFailed, errors.Join(err, removal))
	}
	w := watchSignals()
	defer w.stop()
	child, err := os.StartProcess(path, c.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.dir.Fd())},
	})
	if err != nil {
		status := statusOf(err)
		if errors.Is(err, unix.ENOSYS) {
			status, err = StatusFailed, fmt.Errorf("start it in a cgroup: needs clone3(2) (Linux 5.7, allowed by seccomp): %w", err)
		}
		_, removal := g.remove()
		return fail(status, errors.Join(err, p.close(), removal))
	}
	r := &Result{}
	r.Status, err = w.wait(child)
	_ = child.Release()
	errs := []error{err}
	r.Summary, err = p.summary()
	errs = append(errs, err, p.close())
	removed, err := g.remove()
	errs = append(errs, err)
	if !removed {
		r.Group = g.path
		r.Left, err = g.members()
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}

// statusOf is what a shell exits with where it cannot run a command.
func statusOf(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return StatusNotFound
	}
	return StatusNotExecutable
}
