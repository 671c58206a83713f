package trace

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tcpvet/tcpvet"
)

func FuzzOpening(f *testing.F) {
	b := make([]byte, openingLen)
	for i := range b {
		b[i] = byte(i + 1)
	}
	f.Add(b)
	f.Add(b[:openingLen-1])
	f.Add(make([]byte, openingLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeOpening(b)
		if (err == nil) != (len(b) == openingLen) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err == nil && (o.Process.PID == 0 || o.Thread < 0 || len(o.Comm) > 16) {
			t.Errorf("%+v", o)
		}
	})
}

func FuzzStack(f *testing.F) {
	b := make([]byte, stackLen)
	binary.LittleEndian.PutUint16(b[16:], 3)
	binary.LittleEndian.PutUint16(b[18:], 2)
	binary.LittleEndian.PutUint16(b[20:], 1)
	binary.LittleEndian.PutUint16(b[24:], 2)
	f.Add(b)
	f.Add(b[1:])
	full := make([]byte, stackLen)
	for i := range full {
		full[i] = 0xff
	}
	f.Add(full)
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := decodeStack(b)
		if err == nil && (len(k.Addresses) > maxFrames || len(k.Words) > maxWords || len(k.Python) > maxPython || len(k.Asker) > maxAskers) {
			t.Errorf("%d addresses, %d words, %d calls", len(k.Addresses), len(k.Words), len(k.Python))
		}
	})
}

// The numbers stand where the C programs put them.
func TestDecodeStack(t *testing.T) {
	b := make([]byte, stackLen)
	e := binary.LittleEndian
	e.PutUint64(b[8:], 77)
	e.PutUint16(b[16:], 127)
	e.PutUint16(b[18:], 40)
	e.PutUint16(b[20:], 48)
	e.PutUint16(b[22:], 1)
	e.PutUint16(b[24:], 32)
	for i := range (stackLen - 32) / 8 {
		e.PutUint64(b[32+i*8:], uint64(i))
	}
	k, err := decodeStack(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Addresses) != 127 || k.Addresses[126] != 126 || len(k.Words) != 40 || k.Words[0] != 127 || k.Words[39] != 166 ||
		len(k.Python) != 48 || k.Python[0] != (PythonCall{167, 168}) || k.Python[47] != (PythonCall{261, 262}) || k.Creator != 77 || !k.Cut ||
		len(k.Asker) != 32 || k.Asker[0] != 263 || k.Asker[31] != 294 {
		t.Errorf("%+v", k)
	}
	for _, at := range []int{16, 18, 20, 24} {
		c := append([]byte(nil), b...)
		e.PutUint16(c[at:], 128)
		if _, err := decodeStack(c); err == nil {
			t.Errorf("128 at %d passes", at)
		}
	}
}

func TestDecodeOpening(t *testing.T) {
	b := make([]byte, openingLen)
	e := binary.LittleEndian
	for i, v := range []uint64{5, 1e9, 2e9, 12345} {
		e.PutUint64(b[i*8:], v)
	}
	e.PutUint32(b[32:], 41)
	e.PutUint32(b[36:], 42)
	e.PutUint32(b[40:], 3)
	copy(b[48:], "worker\x00old")
	got, err := decodeOpening(b)
	want := Opening{
		Process: tcpvet.Process{PID: 41, Start: 12345}, Thread: 42, Comm: "worker", Stack: 5, NoRoom: true, Accepted: true,
		Opened: time.Second, Waiting: 2 * time.Second,
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	e.PutUint32(b[32:], 0xffffffff) // in no PID namespace that the reader sees
	e.PutUint32(b[36:], 0xffffffff)
	if got, _ := decodeOpening(b); got.Process != tcpvet.Unseen || got.Thread != 0 {
		t.Errorf("%+v", got)
	}
}
