package netns

import (
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// What keeps one out of a namespace.
var (
	ErrGone         = errors.New("namespace has vanished")
	ErrNotPermitted = errors.New("not permitted")
)

// EnterError says that a namespace could not be entered. It wraps ErrGone or
// ErrNotPermitted where that is the reason, and the error of the kernel.
type EnterError struct {
	ID  tcpvet.NetnsID
	Err error
}

func (e *EnterError) Error() string {
	text := fmt.Sprintf("enter network namespace %d: %v", e.ID, e.Err)
	if errors.Is(e.Err, ErrNotPermitted) {
		text += "; needs " + needs("CAP_SYS_ADMIN")
	}
	return text
}

func (e *EnterError) Unwrap() error { return e.Err }

// Gap gives the same as a gap of a look. A namespace that has vanished is no
// gap: there is nothing in it to miss.
func (e *EnterError) Gap() tcpvet.Gap {
	g := tcpvet.Gap{
		What:  "sockets",
		Where: fmt.Sprintf("netns %d", e.ID),
		Netns: e.ID,
		Err:   fmt.Sprintf("enter network namespace: %v", e.Err),
	}
	if errors.Is(e.Err, ErrNotPermitted) {
		g.Needs = needs("CAP_SYS_ADMIN")
	}
	return g
}

// classify adds the sentinel that an error of the kernel stands for.
func classify(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return fmt.Errorf("%w: %w", ErrGone, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %w", ErrNotPermitted, err)
	}
	return err
}

// needs names what would help: only root is told which capability is missing.
func needs(capability string) string {
	if unix.Geteuid() != 0 {
		return "root"
	}
	return capability
}
