package symbol

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestGoTable compares with what the runtime knows of this test itself, at every
// instruction of it that can be called from.
func TestGoTable(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	im := openBuilt(t, exe)
	if im.golang == nil {
		t.Fatal("this test has no table")
	}
	pcs := make([]uintptr, 64)
	pcs = pcs[:runtime.Callers(0, pcs)]
	n := 0
	for _, pc := range pcs {
		var want []place
		frames := runtime.CallersFrames([]uintptr{pc})
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			want = append(want, place{f.Function, f.File, f.Line})
		}
		got := im.golang.places(uint64(pc) - 1)
		if len(got) < len(want) {
			t.Errorf("%#x: got %v, runtime says %v", pc, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%#x: got %v, runtime says %v", pc, got, want)
			}
			n++
		}
	}
	if n < 3 {
		t.Errorf("%d frames", n)
	}
	// And all functions of the program, by their entries.
	functions := 0
	for a := im.golang.text; a < im.golang.end; a += 4096 {
		f := runtime.FuncForPC(uintptr(a))
		got := im.golang.places(a)
		if f == nil || strings.HasPrefix(f.Name(), "go:") { // marks the end of code
			continue
		}
		functions++
		file, line := f.FileLine(uintptr(a))
		if file == "?" { // C code, in a test that was built with the race detector
			if name := im.golang.symbol(a); got != nil || f.Name() != "" && name != demangled(f.Name()) {
				t.Errorf("%#x in %s of C: got %v, name %q", a, f.Name(), got, name)
			}
			continue
		}
		if len(got) == 0 {
			t.Errorf("%#x is in %s, got nothing", a, f.Name())
			continue
		}
		if got[0].file != file || got[0].line != line {
			t.Errorf("%#x in %s: got %v, runtime says %s:%d", a, f.Name(), got, filepath.Base(file), line)
		}
	}
	if functions < 100 {
		t.Errorf("%d functions", functions)
	}
}

// TestGoModuleRelocated has a program whose words stand in the relocations alone, as
// some linkers leave them.
func TestGoModuleRelocated(t *testing.T) {
	program, err := os.ReadFile(build(t, "go", "-buildmode=pie", "-ldflags=-linkmode=external"))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := openImage(bytes.NewReader(program), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".go.module", ".noptrdata", ".data", ".data.rel.ro"} {
		if s := whole.elf.Section(name); s != nil {
			clear(program[s.Offset : s.Offset+s.FileSize])
		}
	}
	im, err := openImage(bytes.NewReader(program), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := whole.golang
	if got := im.golang; got.text != want.text || got.inlined.base != want.inlined.base || got.inlined.base == 0 {
		t.Errorf("got text at %#x, inlined calls at %#x, want %#x, %#x", got.text, got.inlined.base, want.text, want.inlined.base)
	}
	if start := textSymbol(im.elf); start != want.text {
		t.Errorf("runtime.text is at %#x, found %#x", start, want.text)
	}
}

// smallGoTable is a table of one function, of Go 1.20 or later.
func smallGoTable() []byte {
	e := binary.LittleEndian
	b := e.AppendUint32(nil, magicGo120)
	b = append(b, 0, 0, 1, 8)
	names, units, files, values := 72, 80, 88, 96
	for _, v := range []int{1, 1, 0x1000, names, units, files, values, 104} {
		b = e.AppendUint64(b, uint64(v))
	}
	b = append(b, "\x00main.f\x00"...)
	b = e.AppendUint64(b, 0)                     // one file, at 0
	b = append(b, "/f.go\x00\x00\x00"...)        // 88
	b = append(b, 0, 2, 0x20, 0, 14, 0x10, 0, 9) // files, and lines that end early
	b = e.AppendUint32(b, 0)                     // entry
	b = e.AppendUint32(b, 16)
	b = e.AppendUint32(b, 0x20) // end
	b = e.AppendUint32(b, 0)
	for _, v := range []uint32{0, 1, 0, 0, 0, 1, 4, 0, 0, 7, 0} { // _func
		b = e.AppendUint32(b, v)
	}
	return b
}

func TestSmallGoTable(t *testing.T) {
	table, err := parseGoTable(smallGoTable())
	if err != nil {
		t.Fatal(err)
	}
	table.end = table.text + 0x20
	for a, want := range map[uint64][]place{
		0xfff: nil, 0x1000: {{"main.f", "/f.go", 6}}, 0x100f: {{"main.f", "/f.go", 6}}, 0x1010: {{"main.f", "/f.go", 0}}, 0x101f: {{"main.f", "/f.go", 0}}, 0x1020: nil,
	} {
		got := table.places(a)
		if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("%#x: got %v, want %v", a, got, want)
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"cut header":    func(b []byte) []byte { return b[:40] },
		"cut functions": func(b []byte) []byte { return b[:110] },
		"magic":         func(b []byte) []byte { b[0] = 0; return b },
		"Go 1.17":       func(b []byte) []byte { b[0] = 0xfa; return b },
		"no pointers":   func(b []byte) []byte { b[7] = 4; return b },
		"far names":     func(b []byte) []byte { b[35] = 1; return b },
		"many":          func(b []byte) []byte { b[12] = 1; return b },
	} {
		if _, err := parseGoTable(change(smallGoTable())); err == nil || !strings.HasPrefix(err.Error(), "read Go's table: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzGoTable(f *testing.F) {
	f.Add(smallGoTable(), uint64(0x1004))
	f.Fuzz(func(t *testing.T, b []byte, a uint64) {
		table, err := parseGoTable(b)
		if err != nil {
			return
		}
		table.end = ^uint64(0)
		table.places(a)
		table.places(table.text)
	})
}
