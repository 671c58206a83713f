package owner

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring is the table of a Keeper, mapped: a place that counts all closes, and behind it
// the last of them, which the kernel goes on writing.
type ring struct {
	memory []byte
	places uint64 // behind the first
	next   uint64 // the first close that was not read yet, from 0
	value  [recordLen]byte
}

// mapRing maps a table. What the caller may do with m is to close it.
func mapRing(m *ebpf.Map) (*ring, error) {
	page := unix.Getpagesize()
	size := (int(m.MaxEntries())*recordLen + page - 1) / page * page
	memory, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the table: %w", err)
	}
	return &ring{memory: memory, places: uint64(m.MaxEntries()) - 1}, nil
}

func (r *ring) unmap() error { return unix.Munmap(r.memory) }

func (r *ring) word(at uint64) uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.memory[at])))
}

// read hands over what was closed since it was last called, as far as it is there still
// and written to its end; the value holds until yield returns.
func (r *ring) read(yield func(value *[recordLen]byte) error) error {
	closes := r.word(0)
	if closes > r.places {
		r.next = max(r.next, closes-r.places)
	}
	for ; r.next < closes; r.next++ {
		place := (1 + r.next%r.places) * recordLen
		number := r.word(place)
		if number <= r.next {
			return nil // it is being written: the next call finds it
		}
		for i := uint64(8); i < recordLen; i += 8 {
			*(*uint64)(unsafe.Pointer(&r.value[i])) = r.word(place + i)
		}
		if number != r.next+1 || r.word(place) != number {
			continue // written over
		}
		if err := yield(&r.value); err != nil {
			return err
		}
	}
	return nil
}
