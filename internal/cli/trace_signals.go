package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
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

// endings gives a context that ends with asked, or when the terminal goes away (unless
// that is ignored, as by nohup): what is in the kernel is then taken away, too. Who asks
// once more does not wait for that: the next signal ends the process at once.
func endings(asked context.Context) (ctx context.Context, end func()) {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	ctx, stop := context.WithCancel(asked)
	if !signal.Ignored(syscall.SIGHUP) {
		stop()
		ctx, stop = signal.NotifyContext(asked, syscall.SIGHUP)
		ends = append(ends, syscall.SIGHUP)
	}
	forget := context.AfterFunc(ctx, func() { signal.Reset(ends...) })
	return ctx, func() {
		forget()
		stop()
	}
}

// abandoning writes to w, and gives up what is not taken once ctx has ended: a paused
// terminal, or a pipe that nobody reads, may never take it.
type abandoning struct {
	ctx  context.Context
	w    io.Writer
	done chan written
	gone error // why nothing more is written
}

// written is how a write ended.
type written struct {
	n   int
	err error
}

// mostUntaken is how long a write may take once it is to end.
const mostUntaken = 2 * time.Second

func newAbandoning(ctx context.Context, w io.Writer) *abandoning {
	return &abandoning{ctx: ctx, w: w, done: make(chan written, 1)}
}

// Write is io.Writer's. One that was given up is left to itself: the process ends soon.
func (a *abandoning) Write(b []byte) (int, error) {
	if a.gone != nil {
		return 0, a.gone
	}
	go func() {
		n, err := a.w.Write(b)
		a.done <- written{n, err}
	}()
	select {
	case d := <-a.done:
		return d.n, d.err
	case <-a.ctx.Done():
	}
	select {
	case d := <-a.done:
		return d.n, d.err
	case <-time.After(mostUntaken):
		a.gone = &exit{statusBlind, fmt.Errorf("write what is left: nobody has read the output for %s", mostUntaken)}
		return 0, a.gone
	}
}
