package cli

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/tcpvet/tcpvet"
)

// progress says on a terminal how far a look has come, once it has taken over
// a second.
type progress struct {
	tcpvet.Observer
	seen atomic.Uint64
}

// watch wraps o. The caller calls end once the look is over. Where w is no
// terminal it only passes on.
func watch(w io.Writer, o tcpvet.Observer) (tcpvet.Observer, func()) {
	if !terminal(w) {
		return o, func() {}
	}
	p, end := begin(w)
	p.Observer = o
	return p, end
}

// watchCount is watch where sockets are counted and not told.
func watchCount(w io.Writer) (count func(uint64), end func()) {
	if !terminal(w) {
		return nil, func() {}
	}
	p, end := begin(w)
	return func(n uint64) { p.seen.Add(n) }, end
}

func begin(w io.Writer) (p *progress, end func()) {
	p = new(progress)
	return p, sayEachSecond(w, func(took time.Duration) string {
		return fmt.Sprintf("looking: %d sockets, %.0f s", p.seen.Load(), took.Seconds())
	})
}

func (p *progress) Socket(s *tcpvet.Socket) error {
	p.seen.Add(1)
	return p.Observer.Socket(s)
}

// sayEachSecond writes what line gives, once it has taken over a second, and each
// second from then on. The caller calls end once it is over, which takes the line
// away. w is a terminal.
func sayEachSecond(w io.Writer, line func(took time.Duration) string) (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		shown := false
		for {
			select {
			case <-stop:
				if shown {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			case <-tick.C:
				shown = true
				fmt.Fprintf(w, "\r%s\x1b[K", line(time.Since(start)))
			}
		}
	}()
	return func() { close(stop); <-done }
}
