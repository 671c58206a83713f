package owner

import (
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"
)

// madeRing gives a ring of so many places that has seen so many closes; the cookie of
// each is its number.
func madeRing(places, closes int) *ring {
	r := &ring{memory: aligned((1 + places) * recordLen), places: uint64(places)}
	binary.NativeEndian.PutUint64(r.memory, uint64(closes))
	for n := max(0, closes-places); n < closes; n++ {
		r.put(n, uint64(n+1))
	}
	return r
}

// aligned gives memory as mmap does: on a word.
func aligned(size int) []byte {
	words := make([]uint64, (size+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size)
}

// put writes into the place of the n-th close that it is that number.
func (r *ring) put(n int, number uint64) {
	place := r.memory[(1+n%int(r.places))*recordLen:]
	binary.NativeEndian.PutUint64(place, number)
	binary.NativeEndian.PutUint64(place[8:], uint64(n+1))
}

func (r *ring) cookies(t testing.TB) (all []int) {
	t.Helper()
	err := r.read(func(value *[recordLen]byte) error {
		all = append(all, int(binary.NativeEndian.Uint64(value[8:])))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRing(t *testing.T) {
	for _, test := range []struct {
		name   string
		closes int
		change func(*ring)
		want   []int
		later  []int // when the change has been taken back
	}{
		{"none", 0, nil, nil, nil},
		{"some", 2, nil, []int{1, 2}, nil},
		{"full", 4, nil, []int{1, 2, 3, 4}, nil},
		{"round", 6, nil, []int{3, 4, 5, 6}, nil},
		{"not begun", 3, func(r *ring) { r.put(1, 0) }, []int{1}, []int{2, 3}},
		{"not begun, and round", 6, func(r *ring) { r.put(4, 1) }, []int{3, 4}, []int{5, 6}},
		{"written over", 6, func(r *ring) { r.put(3, 8) }, []int{3, 5, 6}, nil},
	} {
		r := madeRing(4, test.closes)
		if test.change != nil {
			test.change(r)
		}
		if got := r.cookies(t); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		copy(r.memory, madeRing(4, test.closes).memory)
		if got := r.cookies(t); !slices.Equal(got, test.later) {
			t.Errorf("%s: then %v, want %v", test.name, got, test.later)
		}
	}
	// What comes between two readings is read by the second, as far as it is there.
	r := madeRing(4, 3)
	r.cookies(t)
	copy(r.memory, madeRing(4, 9).memory)
	if got := r.cookies(t); !slices.Equal(got, []int{6, 7, 8, 9}) {
		t.Errorf("then %v", got)
	}
}

// Whatever stands in the memory, reading it comes to an end.
func FuzzRing(f *testing.F) {
	f.Add(madeRing(4, 6).memory)
	f.Add(make([]byte, 2*recordLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		places := len(b)/recordLen - 1
		if places < 1 {
			return
		}
		memory := aligned(len(b))
		copy(memory, b)
		r := &ring{memory: memory, places: uint64(places)}
		if got := len(r.cookies(t)); got > places {
			t.Fatalf("%d of %d places", got, places)
		}
		if got := r.cookies(t); len(got) > 0 {
			t.Fatalf("%v twice", got)
		}
	})
}
