package trace

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// paper is a ring in common memory, whose data does not repeat as the kernel's does
// unless it is written so.
func paper(size int) *ring {
	return &ring{make([]byte, 8), make([]byte, 8), make([]byte, 2*size), uint64(size - 1)}
}

// put writes a record with that header as the kernel does, in both images.
func (r *ring) put(head uint32, fill byte) (header *uint32) {
	end := atomic.LoadUint64(position(r.producer))
	b := append(binary.LittleEndian.AppendUint32(nil, head), 0, 0, 0, 0)
	b = append(b, bytes.Repeat([]byte{fill}, ringStride-ringHeader)...)
	size := r.mask + 1
	for i := range b {
		at := (end + uint64(i)) & r.mask
		r.data[at], r.data[at+size] = b[i], b[i]
	}
	atomic.StoreUint64(position(r.producer), end+ringStride)
	return (*uint32)(unsafe.Pointer(&r.data[end&r.mask]))
}

func TestRing(t *testing.T) {
	r := paper(512)
	room := func(n int) []byte { return make([]byte, 0, n*recordLen) }
	read := func(what string, into []byte, wantMore bool, want ...byte) {
		t.Helper()
		got, more, err := r.read(into)
		if err != nil || more != wantMore || len(got) != len(want)*recordLen {
			t.Fatalf("%s: %d bytes, more %t, %v", what, len(got), more, err)
		}
		for i, w := range want {
			if rec := got[i*recordLen:][:recordLen]; !bytes.Equal(rec, bytes.Repeat([]byte{w}, recordLen)) {
				t.Errorf("%s: record %d is %x, want %x", what, i, rec, w)
			}
		}
	}
	read("empty", room(4), false)
	for round := range byte(20) { // which goes around some ten times
		r.put(recordLen, round+1)
		r.put(recordLen|ringDropped, 0xee)
		r.put(recordLen, round+2)
		read("no room", room(0), true)
		read("room for one", room(1), true, round+1)
		read("the rest", room(4), false, round+2)
	}
	// What is being written is waited for.
	head := r.put(recordLen|ringBusy, 7)
	go func() {
		runtime.Gosched()
		atomic.StoreUint32(head, recordLen)
	}()
	read("busy", room(4), false, 7)

	r.put(recordLen+8, 1)
	if _, _, err := r.read(room(4)); err == nil || !strings.Contains(err.Error(), "a record of 144 bytes, not 136") {
		t.Errorf("a longer record: %v", err)
	}
}

func FuzzRing(f *testing.F) {
	f.Add(uint64(0), uint64(300), []byte{recordLen})
	f.Fuzz(func(t *testing.T, at, n uint64, b []byte) {
		r := paper(1024)
		copy(r.data, b)
		for i := 3; i < len(r.data); i += 4 {
			r.data[i] &^= ringBusy >> 24 // nobody would end it
		}
		at &^= 7
		*position(r.consumer), *position(r.producer) = at, at+n%1024&^7
		all, _, _ := r.read(make([]byte, 0, 4*recordLen))
		if len(all)%recordLen != 0 {
			t.Errorf("%d bytes", len(all))
		}
	})
}

// Nothing is lost or told twice where the ring begins anew.
func TestRootRing(t *testing.T) { kerneltest.Undisturbed(t, testRing) }

func testRing(t testing.TB) {
	tr := stopped(t, Options{Ring: 1})
	l, at := listen(t, lo4)
	const rounds, each = 12, 50
	told := map[uint64]int{}
	for range rounds {
		for range each {
			c, s := connected(t, l, at)
			s.close()
			c.close()
		}
		readOut(t, tr, func(e *tcpvet.Event) error { told[e.Cookie]++; return nil })
	}
	if len(told) != rounds*each*2 {
		t.Errorf("%d ends are told, want %d", len(told), rounds*each*2)
	}
	for cookie, n := range told {
		if n != 2 {
			t.Errorf("cookie %d: %d events", cookie, n)
		}
	}
}
