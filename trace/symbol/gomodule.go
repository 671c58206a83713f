package symbol

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"math"
)

// goModule is what is needed of runtime.moduledata. Programs linked with C have other
// code before Go's, so that .text does not tell where Go's begins.
type goModule struct {
	text     uint64
	funcdata uint64 // go:func.*
}

// Where these stand in moduledata, Go 1.18 to 1.26; its first word points to the table.
const (
	moduleMinPC    = 160
	moduleText     = 176
	moduleRodata   = 312
	moduleFuncdata = 320
	moduleSize     = 328
)

// findModule looks for moduledata by its first word. In a program that can be loaded
// anywhere the words are not in their places but in the relocations.
func findModule(f *elf.File, table uint64) goModule {
	for _, name := range [...]string{".go.module", ".noptrdata", ".data", ".data.rel.ro"} {
		s := f.Section(name)
		if s == nil || s.Type == elf.SHT_NOBITS || s.ReaderAt == nil {
			continue
		}
		found := goModule{}
		scan(s, s.FileSize, func(b []byte) bool {
			if binary.LittleEndian.Uint64(b) == table {
				found = moduleAt(func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) })
			}
			return found.text != 0
		})
		if found.text != 0 {
			return found
		}
	}
	return relocatedModule(f, table)
}

func moduleAt(word func(int) uint64) goModule {
	m := goModule{text: word(moduleText), funcdata: word(moduleFuncdata)}
	if m.text == 0 || m.text > word(moduleMinPC) {
		return goModule{}
	}
	if rodata := word(moduleRodata); m.funcdata < rodata {
		m.funcdata = 0
	}
	return m
}

// maxScan bounds how much of a section is looked through for moduledata.
const maxScan = 256 << 20

// scan shows yield what follows each word, moduleSize bytes, until it returns true.
func scan(r io.ReaderAt, size uint64, yield func([]byte) bool) {
	buf := make([]byte, 256<<10)
	size = min(size, maxScan)
	for at := uint64(0); at < size; {
		n, _ := r.ReadAt(buf, int64(at))
		if n < moduleSize {
			return
		}
		i := 0
		for ; i+moduleSize <= n; i += 8 {
			if yield(buf[i : i+moduleSize]) {
				return
			}
		}
		at += uint64(i)
	}
}

// relocatedModule looks in the relocations that put an address of the program itself.
func relocatedModule(f *elf.File, table uint64) goModule {
	s := f.Section(".rela.dyn")
	if s == nil || s.ReaderAt == nil {
		s = f.Section(".rela")
	}
	if s == nil || s.ReaderAt == nil {
		return goModule{}
	}
	module := uint64(0)
	relatives(s, func(at, value uint64) bool {
		if value == table {
			module = at
		}
		return module != 0
	})
	if module == 0 {
		return goModule{}
	}
	words := map[int]uint64{}
	relatives(s, func(at, value uint64) bool {
		if at >= module && at-module < moduleSize {
			words[int(at-module)] = value
		}
		return false
	})
	return moduleAt(func(at int) uint64 { return words[at] })
}

// relatives shows yield each relative relocation (struct Elf64_Rela) until it returns
// true.
func relatives(s *elf.Section, yield func(at, value uint64) bool) {
	const size = 24
	r := io.NewSectionReader(s, 0, math.MaxInt64)
	buf := make([]byte, size*4096)
	for left := min(s.FileSize, maxScan); left >= size; {
		n, _ := io.ReadFull(r, buf[:min(left, uint64(len(buf)))])
		for b := buf[:n-n%size]; len(b) > 0; b = b[size:] {
			switch binary.LittleEndian.Uint32(b[8:]) {
			case uint32(elf.R_X86_64_RELATIVE), uint32(elf.R_AARCH64_RELATIVE):
				if yield(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[16:])) {
					return
				}
			}
		}
		if n < size {
			return
		}
		left -= uint64(n)
	}
}

// textSymbol gives the address of runtime.text, 0 in a stripped program.
func textSymbol(f *elf.File) uint64 {
	s := readTable(f, elf.SHT_SYMTAB)
	for _, fn := range s.functions {
		if s.text(fn.name) == "runtime.text" {
			return fn.address
		}
	}
	return 0
}
