package trace

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring reads a BPF_MAP_TYPE_RINGBUF of records that are all of one size, by its mapped
// memory (Documentation/bpf/ringbuf.rst): many at once, for a fraction of what they
// take one by one.
type ring struct {
	consumer []byte // the page that says how far it was read
	producer []byte // the page that says how far it was written, and the data twice
	data     []byte
	mask     uint64
}

// The header of a record in the ring (kernel struct bpf_ringbuf_hdr).
const (
	ringHeader  = 8
	ringBusy    = 1 << 31 // it is being written
	ringDropped = 1 << 30 // it holds nothing
	ringStride  = ringHeader + (recordLen+7)/8*8
)

func mapRing(m *ebpf.Map) (*ring, error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	consumer, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a ring: %w", err)
	}
	producer, err := unix.Mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map a ring: %w", err), unix.Munmap(consumer))
	}
	return &ring{consumer, producer, producer[page:], uint64(size - 1)}, nil
}

// read appends the records that are there to those of the batch, as far as it has room;
// more tells that there may be others. What is being written it waits for: that takes
// nanoseconds.
func (r *ring) read(records []byte) (all []byte, more bool, err error) {
	at := atomic.LoadUint64(position(r.consumer))
	end := atomic.LoadUint64(position(r.producer))
	for at < end {
		if len(records)+recordLen > cap(records) {
			more = true
			break
		}
		b := r.data[at&r.mask:]
		head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&b[0])))
		if head&ringBusy != 0 {
			continue
		}
		if n := head &^ ringDropped; n != recordLen || end-at < ringStride {
			err = fmt.Errorf("read the ring of a trace: a record of %d bytes, not %d", n, recordLen)
			break
		}
		if head&ringDropped == 0 {
			records = append(records, b[ringHeader:ringHeader+recordLen]...)
		}
		at += ringStride
	}
	atomic.StoreUint64(position(r.consumer), at)
	return records, more, err
}

func position(page []byte) *uint64 { return (*uint64)(unsafe.Pointer(&page[0])) }

// Close unmaps it. What was read is a copy.
func (r *ring) Close() error { return errors.Join(unix.Munmap(r.consumer), unix.Munmap(r.producer)) }
