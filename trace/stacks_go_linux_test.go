package trace

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// Files that are no Go program, or one that does not tell, are told apart.
func TestReadGoLayoutRefuses(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{kerneltest.Tool(t, "bash"), "none"},
		{os.Args[0], ""}, // a test program is stripped of DWARF, or not, as it was built
	} {
		f, err := os.Open(test.file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := readGoLayout(f); test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want words of %q", test.file, err, test.want)
		}
	}
	if _, err := readGoLayout(strings.NewReader("#!/bin/sh\n")); err == nil {
		t.Error("a script passes")
	}
}

func TestGoLayoutEncode(t *testing.T) {
	l := goLayout{all: 0x5000, low: [2]uint64{0x1000, 0}, high: [2]uint64{0x1100, 0}, id: 1, parent: 2, status: 3, pc: 4, frame: 5, first: 0x400}
	for _, test := range []struct {
		relocatable bool
		want        []uint64
	}{
		{false, []uint64{77, 0x5000, 0x1000, 0, 0x1100, 0}},
		{true, []uint64{77, 0x7f0000004c00, 0x7f0000000c00, 0, 0x7f0000000d00, 0}},
	} {
		l.relocatable = test.relocatable
		b := l.encode(77, 0x7f0000000000)
		if len(b) != 64 {
			t.Fatalf("%d bytes, want 64", len(b))
		}
		for i, w := range test.want {
			if got := binary.LittleEndian.Uint64(b[i*8:]); got != w {
				t.Errorf("relocatable %v, word %d: %#x, want %#x", test.relocatable, i, got, w)
			}
		}
		if got := b[48:58]; !bytes.Equal(got, []byte{1, 0, 2, 0, 3, 0, 4, 0, 5, 0}) {
			t.Errorf("offsets %v", got)
		}
	}
}

// Lines of a program of Go that can be moved.
func TestMappedAt(t *testing.T) {
	const maps = "c000000000-c000400000 rw-p 00000000 00:00 0 \n" +
		"55a2b6e14000-55a2b6e15000 r-xp 00001000 fe:00 29 /srv/app\n" +
		"55a2b6e13000-55a2b6e14000 r--p 00000000 fe:00 29                 /srv/app\n" +
		"7fd07abc0000-7fd07abe6000 r--p 00000000 fe:00 30                 /lib/libc.so.6\n"
	if got, err := mappedAt(strings.NewReader(maps), "/srv/app"); got != 0x55a2b6e13000 || err != nil {
		t.Errorf("%#x, %v", got, err)
	}
	if _, err := mappedAt(strings.NewReader(maps), "/srv/other"); err == nil {
		t.Error("a file that is not mapped passes")
	}
}

// Nothing in a file of somebody else's ends the trace.
func FuzzGoLayout(f *testing.F) {
	if b, err := os.ReadFile(os.Args[0]); err == nil {
		f.Add(b[:4096])
	}
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = readGoLayout(bytes.NewReader(b))
	})
}
