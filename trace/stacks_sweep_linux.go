package trace

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// sweeper takes openings away whose connection is over, where its end was missed.
type sweeper struct {
	last  uint64 // what was missed and refused when it last looked
	again bool   // to look once more: what had come just then was left
	calm  int    // how often it has not looked since it did
	stop  chan struct{}
	done  chan struct{}
}

// sweepEvery is how often it is asked whether there may be some, and mostCalm how often
// in a row the answer may be no. A sweep goes over the table once. That it also looks
// unasked is because a change is missed, now and then, which the kernel does not count:
// see bpf/sweep.bpf.c.
const (
	sweepEvery = 10 * time.Second
	mostCalm   = 5
)

func (w *sweeper) begin(sweep func() error) {
	w.stop, w.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.done)
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
			if sweep() != nil { // then the table may fill up, which Stats tell
				return
			}
		}
	}()
}

func (w *sweeper) end() {
	if w.stop != nil {
		close(w.stop)
		<-w.done
		w.stop = nil
	}
}

// sweep looks for such openings, if a change was missed since it last did or a
// connection found no room, and once more after that; else at every sixth call.
func (s *Stacks) sweep() error {
	st, err := s.Stats()
	if err != nil {
		return err
	}
	fresh := st.Missed+st.Refused != s.sweeper.last
	if !fresh && !s.sweeper.again && s.sweeper.calm < mostCalm {
		s.sweeper.calm++
		return nil
	}
	s.sweeper.last, s.sweeper.again, s.sweeper.calm = st.Missed+st.Refused, fresh, 0
	var cookies sweptCookies
	values := make([][openingLen]byte, len(cookies))
	var cursor ebpf.MapBatchCursor
	for end := false; !end; {
		n, err := s.objects.Openings.BatchLookup(&cursor, cookies[:], values, nil)
		if end = errors.Is(err, ebpf.ErrKeyNotExist); err != nil && !end {
			return fmt.Errorf("read openings: %w", err)
		}
		clear(cookies[n:])
		if err := s.objects.Swept.Set(&cookies); err != nil {
			return fmt.Errorf("ask for openings that are over: %w", err)
		}
		if _, err := s.objects.Sweep.Run(new(ebpf.RunOptions)); err != nil {
			return fmt.Errorf("sweep openings: %w", err)
		}
	}
	return nil
}

// sweptCookies is swept in bpf/stacks.bpf.c.
type sweptCookies [128]uint64
