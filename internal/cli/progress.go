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
	stop chan struct{}
	done chan struct{}
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
	p = &progress{stop: make(chan struct{}), done: make(chan struct{})}
	go p.run(w)
	return p, func() { close(p.stop); <-p.done }
}

func (p *progress) Socket(s *tcpvet.Socket) error {
	p.seen.Add(1)
	return p.Observer.Socket(s)
}

func (p *progress) run(w io.Writer) {
	defer close(p.done)
	start := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	shown := false
	for {
		select {
		case <-p.stop:
			if shown {
				fmt.Fprint(w, "\r\x1b[K")
			}
			return
		case <-tick.C:
			shown = true
			fmt.Fprintf(w, "\rlooking: %d sockets, %.0f s\x1b[K", p.seen.Load(), time.Since(start).Seconds())
		}
	}
}
