package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"

	"github.com/tcpvet/tcpvet"
)

// drain hands over what is in the ring.
func (t *Tracer) drain() error {
	for more := true; more; {
		if err := t.clock.read(); err != nil {
			return err
		}
		var err error
		if more, err = t.fill(); err != nil {
			return err
		}
		if err := t.identify(); err != nil {
			return err
		}
		if err := t.tell(); err != nil {
			return err
		}
	}
	if err := t.fold.idle(t.clock.day); err != nil {
		return err
	}
	return t.tellLost()
}

// fill reads records until the ring is empty or the batch full; more tells which.
func (t *Tracer) fill() (more bool, err error) {
	for !t.batch.full() {
		err := t.ring.ReadInto(&t.read)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read the ring of a trace: %w", err)
		}
		if len(t.read.RawSample) != recordLen {
			return false, fmt.Errorf("read the ring of a trace: a record of %d bytes, not %d", len(t.read.RawSample), recordLen)
		}
		t.batch.records = append(t.batch.records, t.read.RawSample...)
	}
	return true, nil
}

// identify finds the processes of records that lack one, as far as there is time.
func (t *Tracer) identify() error {
	lacking := t.batch.learn()
	if lacking > 0 && t.options.Calls && t.options.Kinds&Fails != 0 {
		var err error
		if lacking, err = t.lookUp(); err != nil {
			return err
		}
	}
	if lacking == 0 {
		return nil
	}
	if !t.adopter.due() {
		return nil
	}
	return t.adopter.pass(func(cookie uint64, who holder) { t.batch.adopted[cookie] = who })
}

// lookUp asks the table of connections: an accept() that is traced is noted there.
func (t *Tracer) lookUp() (lacking int, err error) {
	for cookie, who := range t.batch.known {
		if who.process.Known() {
			continue
		}
		t.cookie = cookie
		switch err := t.objects.Conns.Lookup(&t.cookie, t.conn[:]); {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			lacking++
			continue
		case err != nil:
			return 0, fmt.Errorf("look up a connection: %w", err)
		}
		t.account.Lookups++
		if who = decodeKept(t.conn[:], cookie); who.process.Known() {
			t.batch.known[cookie] = who
		} else {
			lacking++
		}
	}
	return lacking, nil
}

// tell hands over the events of the batch.
func (t *Tracer) tell() error {
	defer t.batch.end()
	for b := t.batch.records; len(b) > 0; b = b[recordLen:] {
		r := &t.record
		if err := decodeRecord(b[:recordLen], r); err != nil {
			return err
		}
		if r.amends {
			t.fold.amend(r.event.Cookie, r.errno)
			continue
		}
		t.batch.name(r)
		e := &t.event
		e.Comm, e.Container, e.Stack = t.names.comm(r.comm), t.names.container(r.event.Process), nil
		if t.stacks != nil {
			var err error
			if e.Stack, err = t.stacks.of(r.event.Cookie); err != nil {
				return err
			}
		}
		if err := r.events(t.clock.time(r.at), e, t.pass); err != nil {
			return err
		}
	}
	return nil
}

// pass folds failures.
func (t *Tracer) pass(e *tcpvet.Event) error {
	if e.Kind == tcpvet.EventFail {
		return t.fold.add(e)
	}
	return t.hand(e)
}

func (t *Tracer) hand(e *tcpvet.Event) error {
	t.account.Events++
	return t.yield(e)
}

// tellLost tells of records that were lost since it was last called.
func (t *Tracer) tellLost() error {
	lost, err := t.lost()
	if err != nil || lost <= t.account.Lost {
		return err
	}
	e := tcpvet.Event{Kind: tcpvet.EventLost, At: t.clock.day, Count: lost - t.account.Lost}
	t.account.Lost = lost
	return t.yield(&e)
}

// lost gives how many records there was no room for, and how many changes no program
// saw, as the processor was at another.
func (t *Tracer) lost() (uint64, error) {
	lost, err := t.count(countLost)
	if err != nil {
		return 0, err
	}
	ran, err := t.objects.Changes.Stats()
	if err != nil {
		return 0, fmt.Errorf("read how a trace runs: %w", err)
	}
	between, err := t.count(countBetween)
	return lost + ran.RecursionMisses - min(between, ran.RecursionMisses), err
}

// The counts in bpf/event.h.
const (
	countLost = iota
	countNoRoom
	countBetween
)

// count reads one of the counts.
func (t *Tracer) count(i int64) (uint64, error) {
	var b [8]byte
	if _, err := t.counts.ReadAt(b[:], i*8); err != nil {
		return 0, fmt.Errorf("read the counts of a trace: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
