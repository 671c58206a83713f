package remedy

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// errTrial says that values could not be tried.
var errTrial = errors.New("try values in a network namespace of their own")

// try has the kernel take the values of settings in a new network namespace, which
// ends with its thread, so that a plan tells what it refuses and how it writes what it
// takes. Settings that are not each namespace's own are not tried: they would be set.
func try(changes []tcpvet.Change) error {
	result := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and the namespace with it.
		runtime.LockOSThread()
		result <- tryHere(changes)
	}()
	return <-result
}

func tryHere(changes []tcpvet.Change) error {
	if unix.Gettid() == unix.Getpid() {
		return fmt.Errorf("%w: the main thread cannot be spared", errTrial)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%w: %w", errTrial, err)
	}
	for i := range changes {
		c := &changes[i]
		_, known := limits[c.Target.Setting]
		// Those of net.netfilter are one for the whole host in some kernels.
		if c.Outcome != tcpvet.OutcomePlanned || !known || strings.HasPrefix(c.Target.Setting, "net.netfilter.") {
			continue
		}
		switch err := writeSetting(c.Target.Setting, c.After.Text); {
		case errors.Is(err, unix.EINVAL):
			c.Outcome, c.Reason = tcpvet.OutcomeRefused, whyNot(c.Target.Setting, err)
		case err == nil:
			if got, err := readSetting(c.Target.Setting); err == nil {
				c.After.Text = got
			}
		}
	}
	return nil
}
