package symbol

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// image is an executable or a library.
type image struct {
	elf      *elf.File
	arch     arch
	segments []segment // those that are loaded
	symbols  symbols
	starts   starts
	golang   *goTable   // nil where it is not of Go's linker
	lines    *lineTable // nil where it has no DWARF, or more than is read
	closers  []io.Closer
	cost     int64 // bytes kept, about

	goGap, lineGap error // why its tables are not read; the others may be sound
}

// segment is a part of the file that is mapped (PT_LOAD).
type segment struct{ offset, size, address uint64 }

// maxSections bounds the sections of a file: an object compiled with a section for
// each function has many, what is linked has about forty.
const maxSections = 4096

// openImage reads the tables of an ELF file. debug gives the file that holds what was
// split off, nil for none. Lines take at most maxLines bytes.
func openImage(r io.ReaderAt, debug func(*elf.File) *elf.File, maxLines int64) (im *image, err error) {
	defer recovered(&err, "read ELF file")
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("read ELF file: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("read ELF file: it is %v %v; only 64-bit little-endian ones are read", f.Class, f.Data)
	}
	if len(f.Sections) > maxSections {
		return nil, fmt.Errorf("read ELF file: %d sections; at most %d are read", len(f.Sections), maxSections)
	}
	im = &image{elf: f}
	switch f.Machine {
	case elf.EM_X86_64:
		im.arch = amd64
	case elf.EM_AARCH64:
		im.arch = arm64
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			im.segments = append(im.segments, segment{p.Off, p.Filesz, p.Vaddr})
		}
	}
	im.golang, im.goGap = openGoTable(f)
	split := f
	if debug != nil {
		if d := debug(f); d != nil {
			split = d
		}
	}
	im.symbols = readSymbols(split, f)
	im.starts = findStarts(f)
	if im.golang == nil || hasC(f) {
		im.lines, im.lineGap = openLines(split, maxLines)
	}
	im.cost = 4096 + int64(len(f.Sections))*256 + im.symbols.cost() + im.golang.cost() + im.lines.cost()
	return im, nil
}

// hasC tells whether a Go program was linked with C, whose lines DWARF has.
func hasC(f *elf.File) bool { return f.Section(".dynamic") != nil && f.Section(".init") != nil }

// address gives where the linker put what is at an offset of the file.
func (im *image) address(offset uint64) (uint64, bool) {
	for _, s := range im.segments {
		if s.offset <= offset && offset-s.offset < s.size {
			return offset - s.offset + s.address, true
		}
	}
	return 0, false
}

// code reads what lies before an address, up to len(b) bytes; what cannot be read is
// left out at the front.
func (im *image) codeBefore(a uint64, b []byte) []byte {
	for _, p := range im.elf.Progs {
		if p.Type != elf.PT_LOAD || p.Flags&elf.PF_X == 0 || a <= p.Vaddr || a-p.Vaddr > p.Filesz {
			continue
		}
		n := min(uint64(len(b)), a-p.Vaddr)
		if m, err := p.ReadAt(b[:n], int64(a-p.Vaddr-n)); m == int(n) && (err == nil || err == io.EOF) {
			return b[:n]
		}
	}
	return nil
}

// places gives the function that holds an address, and those that were inlined into
// it, innermost first; nil where none is known.
func (im *image) places(a uint64) (found []place) {
	var err error
	defer func() {
		if err != nil {
			found = nil
		}
	}()
	defer recovered(&err, "look up address")
	if found := im.golang.places(a); found != nil {
		return found
	}
	found = im.lines.places(a)
	name := im.symbols.name(a)
	if name == "" {
		name = im.golang.symbol(a)
	}
	switch n := len(found); {
	case n == 0 && name != "":
		return []place{{symbol: name}}
	case n > 0 && name != "" && (found[n-1].symbol == "" || strings.HasPrefix(found[n-1].symbol, "_")):
		// The C library's inner names, as __libc_recv: the symbol is what
		// programs call it.
		found[n-1].symbol = name
	}
	return found
}

// start gives where the function that holds an address begins.
func (im *image) start(a uint64) (at uint64, ok bool) {
	var err error
	defer func() { ok = ok && err == nil }()
	defer recovered(&err, "look up address")
	if at, ok := im.symbols.start(a); ok {
		return at, true
	}
	return im.starts.at(a)
}

// maxBody bounds how much of a function is searched for jumps.
const maxBody = 16 << 10

// targets gives the addresses that the function at an address may jump to: of each byte
// pattern that can be a jump, which is more than those that are.
func (im *image) targets(from uint64, yield func(uint64) bool) {
	fs := im.symbols.at(from)
	if len(fs) == 0 || fs[len(fs)-1].size == 0 {
		return
	}
	body := make([]byte, min(fs[len(fs)-1].size, maxBody))
	if !readMemory(im.elf.Progs, from, body) {
		return
	}
	im.arch.jumps(body, from, yield)
}

func (im *image) close() error {
	var errs []error
	for _, c := range im.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// recovered turns a panic into an error. The decoders of the standard library are
// hardened against files that were made to harm, but not in every place.
func recovered(err *error, what string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: its tables make no sense: %v", what, r)
	}
}
