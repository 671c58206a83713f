package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// adopter goes over the descriptors of all processes to learn who holds connections
// whose process is not known, no more often than so that it takes a small share of a
// processor.
type adopter struct {
	objects adoptObjects
	buf     []byte
	share   float64   // of a processor's time
	next    time.Time // not before
	passes  uint64
	found   uint64
}

// adoptedLen is the size of struct adopted in bpf/adopt.bpf.c.
const adoptedLen = 40

// openAdopter loads the program. It shares the table of connections.
func openAdopter(s *shared, share float64) (*adopter, error) {
	if err := lacks(iterators); err != nil {
		return nil, err
	}
	a := &adopter{share: share, buf: make([]byte, 64<<10)}
	if err := s.load(loadAdopt, &a.objects); err != nil {
		return nil, err
	}
	return a, nil
}

// begin follows connections that are there already, as many as there is room for.
func (a *adopter) begin(room uint32) error {
	if err := a.objects.Room.Set(room); err != nil {
		return fmt.Errorf("set what a pass over descriptors may follow: %w", err)
	}
	err := a.pass(0, func(uint64, holder) {})
	return errors.Join(err, a.objects.Room.Set(uint32(0)))
}

// due tells whether there is time for a pass.
func (a *adopter) due() bool { return a != nil && !time.Now().Before(a.next) }

// pass tells whose process it found. wanted is how many there is cause to look for.
func (a *adopter) pass(wanted int, found func(cookie uint64, who holder)) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := threadTime()
	if err != nil {
		return err
	}
	already := a.found
	err = a.read(found)
	// What it had to close for others is closed: it is a thread as any other again.
	if over := a.objects.Passer.Put(uint32(0), uint32(0)); over != nil {
		err = errors.Join(err, fmt.Errorf("tell BPF programs that a pass over descriptors has ended: %w", over))
	}
	if err != nil {
		return err
	}
	after, err := threadTime()
	if err != nil {
		return err
	}
	a.passes++
	a.next = time.Now().Add(a.pause(after-before, wanted, int(a.found-already)))
	return nil
}

// pause is how long no other pass may come after one that took so much time of a
// processor. Where connections are gone before they can be found, as those are that
// live for milliseconds, it is ten times as long.
func (a *adopter) pause(took time.Duration, wanted, found int) time.Duration {
	p := time.Duration(float64(took) / a.share)
	if found*10 < wanted {
		p *= 10
	}
	return p
}

func threadTime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read the processor time of a thread: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

func (a *adopter) read(found func(uint64, holder)) error {
	it, err := link.AttachIter(link.IterOptions{Program: a.objects.Adopt})
	if err != nil {
		return fmt.Errorf("attach BPF iterator over descriptors: %w", err)
	}
	defer it.Close()
	r, err := it.Open()
	if err != nil {
		return fmt.Errorf("open BPF iterator over descriptors: %w", err)
	}
	defer r.Close()
	return a.records(r, found)
}

// records reads to the end. An iterator that writes nothing for a million objects
// answers EAGAIN and goes on from there (kernel function bpf_seq_read).
func (a *adopter) records(r io.Reader, found func(uint64, holder)) error {
	kept := 0
	for {
		n, err := r.Read(a.buf[kept:])
		b := a.buf[:kept+max(n, 0)]
		for ; len(b) >= adoptedLen; b = b[adoptedLen:] {
			cookie, who, err := decodeAdopted(b[:adoptedLen])
			if err != nil {
				return err
			}
			a.found++
			found(cookie, who)
		}
		kept = copy(a.buf, b)
		switch {
		case err == nil, errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case errors.Is(err, io.EOF) && kept == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("read BPF iterator over descriptors: %d bytes at the end: %w", kept, io.ErrUnexpectedEOF)
		default:
			return fmt.Errorf("read BPF iterator over descriptors: %w", err)
		}
	}
}

// decodeAdopted reads a struct adopted.
func decodeAdopted(b []byte) (cookie uint64, who holder, err error) {
	if len(b) != adoptedLen {
		return 0, holder{}, fmt.Errorf("decode holder: %d bytes, not %d", len(b), adoptedLen)
	}
	cookie = binary.LittleEndian.Uint64(b)
	who.process = tcpvet.Process{Start: binary.LittleEndian.Uint64(b[8:]), PID: int32(binary.LittleEndian.Uint32(b[16:]))}
	who.comm = [16]byte(b[24:])
	if cookie == 0 || !who.process.Known() {
		return 0, holder{}, fmt.Errorf("decode holder: cookie %d, PID %d", cookie, who.process.PID)
	}
	return cookie, who, nil
}

func (a *adopter) Close() error {
	if a == nil {
		return nil
	}
	return a.objects.Close()
}
