package run

import (
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that a command gets when tcpvet does. Of the others some
// cannot be caught, and some are about tcpvet itself or about its children.
var passedOn = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM,
	unix.SIGCONT, unix.SIGTSTP, unix.SIGWINCH, unix.SIGIO, unix.SIGPWR,
}

// watch passes signals on and waits for a child.
type watch struct{ signals chan os.Signal }

// watchSignals begins to keep signals for the child. Those that are ignored, as nohup(1)
// makes them, stay so, here and in the child.
func watchSignals() *watch {
	w := &watch{make(chan os.Signal, 64)}
	for _, s := range passedOn {
		if !signal.Ignored(s) {
			signal.Notify(w.signals, s)
		}
	}
	return w
}

func (w *watch) stop() { signal.Stop(w.signals) }

// wait waits for the end of the child, and gives the exit status that a shell would.
func (w *watch) wait(child *os.Process) (status int, err error) {
	pid := child.Pid
	changes := make(chan unix.WaitStatus)
	failed := make(chan error, 1)
	go func() {
		for {
			var s unix.WaitStatus
			_, err := unix.Wait4(pid, &s, unix.WUNTRACED, nil)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				failed <- err
				return
			}
			changes <- s
			if s.Exited() || s.Signaled() {
				return
			}
		}
	}()
	for {
		select {
		case s := <-w.signals:
			if n := s.(unix.Signal); !fromTerminal(n) {
				_ = child.Signal(n) // by its descriptor: the PID may be another's by now
			}
		case s := <-changes:
			switch {
			case s.Exited():
				return s.ExitStatus(), nil
			case s.Signaled():
				return 128 + int(s.Signal()), nil
			case s.Stopped():
				stopToo(pid)
			}
		case err := <-failed:
			return StatusFailed, fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
}

// fromTerminal tells whether the child has the signal already: the terminal sends these
// to each process of its foreground group, in which both are.
func fromTerminal(s unix.Signal) bool {
	switch s {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGWINCH:
		return inForeground()
	}
	return false
}

// inForeground tells whether this process's group has its terminal (tcgetpgrp(3)).
func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// stopToo stops this process as its child was stopped, so that the shell takes the
// terminal back. SIGCONT, which ends that, is passed on.
func stopToo(pid int) {
	// The child may have been woken together with this process.
	const settling = 20 * time.Millisecond
	time.Sleep(settling)
	if !stopped(pid) {
		return
	}
	_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
}

// stopped tells whether a process is stopped by a signal.
func stopped(pid int) bool {
	s, err := readStatus(pid)
	return err == nil && s.state == 'T'
}
