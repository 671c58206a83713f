package symbol

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

func openBuilt(t *testing.T, program string) *image {
	t.Helper()
	f, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	im, err := openImage(f, nil, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// TestSymbols finds each function of nm(1) by its first and its last byte.
func TestSymbols(t *testing.T) {
	program := build(t, "gcc", "-O2", "-static")
	im := openBuilt(t, program)
	out, err := exec.Command(kerneltest.Tool(t, "nm"), "-S", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	names, n := map[uint64][]string{}, 0
	line := regexp.MustCompile(`(?m)^([0-9a-f]+) ([0-9a-f]+) [tTwWi] (\S+)$`)
	found := line.FindAllStringSubmatch(string(out), -1)
	for _, m := range found {
		at, _ := strconv.ParseUint(m[1], 16, 64)
		names[at] = append(names[at], m[3])
	}
	for _, m := range found {
		at, _ := strconv.ParseUint(m[1], 16, 64)
		size, _ := strconv.ParseUint(m[2], 16, 64)
		for _, a := range []uint64{at, at + size - 1} {
			start, ok := im.symbols.start(a)
			if !ok || start > a || len(names[start]) == 0 {
				t.Errorf("%s: %#x is in a function at %#x, %v", m[3], a, start, ok)
				continue
			}
			// Of nested functions the inner one may be meant.
			name, fits := im.symbols.name(a), false
			for _, want := range names[start] {
				fits = fits || name == want || demangled(want) == name
			}
			if !fits {
				t.Errorf("%#x is in %q, nm has %q there", a, name, names[start])
			}
		}
		n++
	}
	if n < 500 {
		t.Errorf("nm names %d functions", n)
	}
	// What lies between functions is in none.
	for _, s := range im.elf.Sections {
		if s.Name == ".rodata" {
			if name := im.symbols.name(s.Addr + s.Size/2); name != "" {
				t.Errorf("%#x of .rodata is in %s", s.Addr+s.Size/2, name)
			}
		}
	}
}

// TestStarts finds in the C library, which is stripped, each start of a function that
// objdump(1) shows of its unwind table.
func TestStarts(t *testing.T) {
	where, err := exec.Command(kerneltest.Tool(t, "gcc"), "-print-file-name=libc.so.6").Output()
	if err != nil {
		t.Fatal(err)
	}
	library := strings.TrimSpace(string(where))
	im := openBuilt(t, library)
	out, err := exec.Command(kerneltest.Tool(t, "objdump"), "--dwarf=frames", library).Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)`).FindAllStringSubmatch(string(out), -1) {
		low, _ := strconv.ParseUint(m[1], 16, 64)
		high, _ := strconv.ParseUint(m[2], 16, 64)
		if low == high {
			continue
		}
		for _, a := range []uint64{low, high - 1} {
			if at, ok := im.starts.at(a); !ok || at != low {
				t.Errorf("%#x: got %#x %v, want %#x", a, at, ok, low)
			}
		}
		n++
	}
	if n < 500 {
		t.Errorf("objdump shows %d functions", n)
	}
	if at, ok := im.starts.at(1); ok {
		t.Errorf("address 1 is in a function at %#x", at)
	}
}

func TestOpenImageRefuses(t *testing.T) {
	program, err := os.ReadFile(build(t, "gcc", "-O2", "-g"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"empty":      {func(b []byte) []byte { return nil }, "EOF"},
		"a script":   {func(b []byte) []byte { return []byte("#!/bin/sh\necho hello, this is no program\n") }, "bad magic number"},
		"32 bits":    {func(b []byte) []byte { b[4] = 1; return b }, ""},
		"big-endian": {func(b []byte) []byte { b[5] = 2; return b }, ""},
		"half":       {func(b []byte) []byte { return b[:len(b)/2] }, ""},
	} {
		im, err := openImage(bytes.NewReader(test.change(bytes.Clone(program))), nil, 1<<20)
		if err == nil || !strings.HasPrefix(err.Error(), "read ELF file: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: image %v, error %v", name, im != nil, err)
		}
	}
}

// small gives the bytes of a program that has all tables, or of one that was stripped.
func small(tb testing.TB, flags ...string) []byte {
	tb.Helper()
	program := tb.TempDir() + "/small"
	argv := append(flags, "-O1", "-nostdlib", "-ffreestanding", "-Wl,-e,leaf", "-o", program, "testdata/small.c")
	if out, err := exec.Command(kerneltest.Tool(tb, "gcc"), argv...).CombinedOutput(); err != nil {
		tb.Fatalf("gcc: %v\n%s", err, out)
	}
	b, err := os.ReadFile(program)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// look asks an image whatever it can be asked.
func look(im *image, a uint64) {
	im.places(a)
	im.start(a)
	im.address(a)
	im.targets(a, func(uint64) bool { return true })
	im.codeBefore(a, make([]byte, maxCall))
	buildID(im.elf)
	debugLink(im.elf)
}

// TestImageHostile changes a program in some thousand ways. It must neither panic, nor
// take much memory, nor go on for ever.
func TestImageHostile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, whole := range [][]byte{small(t, "-g"), small(t, "-g", "-gdwarf-4"), small(t, "-g", "-gz"), small(t, "-s")} {
		opened := 0
		for range 1500 {
			b := bytes.Clone(whole)
			for range 1 + random.IntN(6) {
				at := random.IntN(len(b) - 8)
				switch random.IntN(5) {
				case 0:
					b[at] = byte(random.Uint32())
				case 1:
					binary.LittleEndian.PutUint32(b[at:], random.Uint32())
				case 2:
					binary.LittleEndian.PutUint32(b[at:], ^uint32(0)>>random.IntN(32))
				case 3:
					binary.LittleEndian.PutUint64(b[at:], ^uint64(0)>>random.IntN(64))
				case 4: // the headers of the file and of its parts
					at = random.IntN(64 + 56*8)
					binary.LittleEndian.PutUint16(b[at:], uint16(random.Uint32()))
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			if im, err := openImage(bytes.NewReader(b), nil, 1<<20); err == nil {
				look(im, im.elf.Entry)
				look(im, 0x1004)
				opened++
			}
			runtime.ReadMemStats(&after)
			if n, took := after.TotalAlloc-before.TotalAlloc, time.Since(began); n > 256<<20 || took > 20*time.Second {
				t.Fatalf("took %d MiB and %v: %x", n>>20, took, b)
			}
		}
		if opened < 100 {
			t.Errorf("%d of 1500 were opened: the changes are too coarse to test what is behind", opened)
		}
	}
}

func FuzzImage(f *testing.F) {
	f.Add(small(f, "-g"), uint64(0x1004))
	f.Add(small(f, "-s"), uint64(0x1004))
	f.Fuzz(func(t *testing.T, b []byte, a uint64) {
		im, err := openImage(bytes.NewReader(b), nil, 1<<20)
		if err != nil {
			return
		}
		look(im, a)
		look(im, im.elf.Entry)
	})
}
