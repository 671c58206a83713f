package cli

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// brokenPipes lets a write to a pipe that nobody reads any more fail, instead of
// ending the process: what it has in the kernel is taken away first. The caller calls
// end at the end.
func brokenPipes() (end func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}

// quietly takes a reader that has gone, as of "| head", for the end and no failure.
func quietly(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
