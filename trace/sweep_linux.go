package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// connSweeper frees connections whose end no program saw.
type connSweeper struct {
	objects sweepObjects
	places  *ebpf.Memory
	n       uint32 // of places
	noRoom  uint64 // connections that had found no room when it last ran
	last    time.Time
	cookie  [8]byte
	cookies sweptCookies
	values  [len(sweptCookies{})][connLen]byte // not used
}

// How long it is at least from a sweep to the next one: without cause, and once a
// connection found no room. A sweep goes over the places and the table once.
const (
	sweepConnsEvery = time.Minute
	sweepConnsPause = 5 * time.Second
)

// openConnSweeper loads the program, which shares the connections, and runs it once to
// see that it can be.
func openConnSweeper(s *shared, places *ebpf.Memory, n uint32) (*connSweeper, error) {
	w := &connSweeper{places: places, n: n, last: time.Now()}
	if err := s.load(loadSweep, &w.objects); err != nil {
		return nil, err
	}
	if err := w.ask(0); err != nil {
		return nil, errors.Join(err, w.objects.Close())
	}
	return w, nil
}

// due tells whether it is time for a sweep. noRoom is how many connections found no
// room until now.
func (w *connSweeper) due(noRoom uint64, now time.Time) bool {
	pause := sweepConnsEvery
	if noRoom != w.noRoom {
		pause = sweepConnsPause
	}
	return now.Sub(w.last) >= pause
}

// sweep goes over all connections.
func (w *connSweeper) sweep(noRoom uint64) error {
	w.last, w.noRoom = time.Now(), noRoom
	if err := w.sweepPlaces(); err != nil {
		return err
	}
	return w.sweepTable()
}

// sweepPlaces reads the places, most of which are free, as memory.
func (w *connSweeper) sweepPlaces() error {
	n := 0
	for i := range int64(w.n) {
		if _, err := w.places.ReadAt(w.cookie[:], i*connLen); err != nil {
			return fmt.Errorf("read the connections of a trace: %w", err)
		}
		cookie := binary.LittleEndian.Uint64(w.cookie[:])
		if cookie == 0 {
			continue
		}
		w.cookies[n] = cookie
		if n++; n == len(w.cookies) {
			if err := w.ask(n); err != nil {
				return err
			}
			n = 0
		}
	}
	return w.ask(n)
}

func (w *connSweeper) sweepTable() error {
	var cursor ebpf.MapBatchCursor
	for end := false; !end; {
		n, err := w.objects.Conns.BatchLookup(&cursor, w.cookies[:], w.values[:], nil)
		if end = errors.Is(err, ebpf.ErrKeyNotExist); err != nil && !end {
			return fmt.Errorf("read the connections of a trace: %w", err)
		}
		if err := w.ask(n); err != nil {
			return err
		}
	}
	return nil
}

// ask runs the program for the first n cookies.
func (w *connSweeper) ask(n int) error {
	clear(w.cookies[n:])
	if err := w.objects.Asked.Set(&w.cookies); err != nil {
		return fmt.Errorf("ask for connections that are over: %w", err)
	}
	if _, err := w.objects.SweepConns.Run(new(ebpf.RunOptions)); err != nil {
		return fmt.Errorf("free connections that are over: %w", err)
	}
	return nil
}

func (w *connSweeper) Close() error { return w.objects.Close() }

// sweep frees connections whose end was not seen, and tells how many were lost: when it
// is time, and at the end.
func (t *Tracer) sweep(ends bool) error {
	if t.sweeper == nil {
		return nil
	}
	noRoom, err := t.count(countNoRoom)
	if err != nil {
		return err
	}
	if !ends && !t.sweeper.due(noRoom, time.Now()) {
		return nil
	}
	if err := t.sweeper.sweep(noRoom); err != nil {
		return err
	}
	return t.tellLost()
}
