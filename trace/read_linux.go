package trace

import (
	"encoding/binary"
	"errors"
	"fmt"

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
	t.batch.records, more, err = t.ring.read(t.batch.records)
	return more, err
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
	return t.adopter.pass(lacking, func(cookie uint64, who holder) { t.batch.adopted[cookie] = who })
}

// lookUp asks for the connections: an accept() that is traced is noted there.
func (t *Tracer) lookUp() (lacking int, err error) {
	displaced, err := t.count(countDisplaced)
	if err != nil {
		return 0, err
	}
	for i := range t.batch.wanted.sockets {
		w := &t.batch.wanted.sockets[i]
		if w.holder.process.Known() {
			continue
		}
		t.account.Lookups++
		if w.holder, err = t.placed(w.cookie); err == nil && !w.holder.process.Known() && displaced > 0 {
			w.holder, err = t.inTable(w.cookie)
		}
		if err != nil {
			return 0, fmt.Errorf("look up a connection: %w", err)
		}
		if !w.holder.process.Known() {
			lacking++
		}
	}
	return lacking, nil
}

// placed gives the process that is noted with a connection at its place, which the
// kernel may be writing: what does not stay is not taken.
func (t *Tracer) placed(cookie uint64) (who holder, err error) {
	at := int64(cookie&uint64(t.options.places()-1)) * connLen
	for i := range t.conn {
		if _, err := t.places.ReadAt(t.conn[i][:], at); err != nil {
			return who, err
		}
	}
	if t.conn[0] != t.conn[1] || binary.LittleEndian.Uint64(t.conn[0][:]) != cookie {
		return who, nil
	}
	return decodeKept(t.conn[0][:], cookie), nil
}

// inTable is placed for what has no place.
func (t *Tracer) inTable(cookie uint64) (who holder, err error) {
	t.cookie = cookie
	err = t.objects.Conns.Lookup(&t.cookie, t.conn[0][:])
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return who, nil
	}
	return decodeKept(t.conn[0][:], cookie), err
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
		e := &r.event
		e.Comm, e.Container = t.names.of(e.Process, r.comm)
		if err := r.events(t.clock.time(r.at), t.pass); err != nil {
			return err
		}
	}
	return nil
}

// pass gives events their stack and folds failures.
func (t *Tracer) pass(e *tcpvet.Event) error {
	if t.stacks != nil && (t.options.Choose == nil || t.options.Choose(e)) {
		var err error
		if e.Stack, err = t.stacks.of(e.Cookie); err != nil {
			return err
		}
	}
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
// saw: as the processor was at another, or as a sweep found.
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
	countDisplaced
	countUnseen
)

// count reads one of the counts.
func (t *Tracer) count(i int64) (uint64, error) {
	var b [8]byte
	if _, err := t.counts.ReadAt(b[:], i*8); err != nil {
		return 0, fmt.Errorf("read the counts of a trace: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
