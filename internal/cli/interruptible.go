package cli

import (
	"context"
	"io"
)

// interruptible reads from r until ctx ends: a pipe or a terminal may never
// give anything, and the signal that would have ended the process is caught.
type interruptible struct {
	ctx  context.Context
	r    io.Reader
	buf  []byte
	rest []byte // of buf, read and not yet given
	done chan ended
}

// ended is how a read ended.
type ended struct {
	n   int
	err error
}

func newInterruptible(ctx context.Context, r io.Reader) *interruptible {
	return &interruptible{ctx: ctx, r: r, buf: make([]byte, 1<<16), done: make(chan ended, 1)}
}

// Read is io.Reader's. A read that ctx ended is left to itself: the process ends
// soon.
func (i *interruptible) Read(b []byte) (int, error) {
	if len(i.rest) == 0 {
		go func() {
			n, err := i.r.Read(i.buf)
			i.done <- ended{n, err}
		}()
		select {
		case <-i.ctx.Done():
			return 0, i.ctx.Err()
		case c := <-i.done:
			if c.n == 0 {
				return 0, c.err
			}
			i.rest = i.buf[:c.n] // an error, if any, comes again
		}
	}
	n := copy(b, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}
