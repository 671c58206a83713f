package symbol

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
)

// symbols holds the functions of .symtab, or of .dynsym where that was stripped.
// Names stay in the file: of a browser's hundred thousand a stack needs ten.
type symbols struct {
	functions []function  // by address
	code      [][2]uint64 // the sections that hold code
	names     io.ReaderAt
	nameBytes uint64
}

type function struct {
	address uint64
	size    uint32
	name    uint32 // where it is among the names
}

// maxSymbols bounds the symbols of one file: 16 bytes each.
const maxSymbols = 1 << 22

// readSymbols reads the first table that names functions, of the files in order.
func readSymbols(files ...*elf.File) symbols {
	for _, kind := range [...]elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		for _, f := range files {
			if s := readTable(f, kind); len(s.functions) > 0 {
				return s
			}
		}
	}
	return symbols{}
}

func readTable(f *elf.File, kind elf.SectionType) symbols {
	const size = 24 // of Elf64_Sym
	section := f.SectionByType(kind)
	if section == nil || section.ReaderAt == nil || int(section.Link) >= len(f.Sections) || f.Sections[section.Link].ReaderAt == nil {
		return symbols{}
	}
	names := f.Sections[section.Link]
	s := symbols{names: names, nameBytes: names.FileSize}
	for _, c := range f.Sections {
		if c.Flags&elf.SHF_EXECINSTR != 0 && c.Addr+c.Size >= c.Addr {
			s.code = append(s.code, [2]uint64{c.Addr, c.Addr + c.Size})
		}
	}
	r := io.NewSectionReader(section, 0, math.MaxInt64)
	buf := make([]byte, size*1024)
	for left := min(section.FileSize/size, maxSymbols); left > 0; {
		b := buf[:min(left, 1024)*size]
		n, err := io.ReadFull(r, b)
		for b = b[:n-n%size]; len(b) > 0; b = b[size:] {
			s.add(f, b[:size])
		}
		if err != nil {
			break // cut: what came is sound
		}
		left -= uint64(n) / size
	}
	slices.SortFunc(s.functions, func(a, b function) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.size, b.size), cmp.Compare(a.name, b.name))
	})
	s.functions = slices.Clip(s.functions)
	return s
}

// add keeps a symbol (struct Elf64_Sym) if it is a function.
func (s *symbols) add(f *elf.File, b []byte) {
	const gnuIFunc = 10
	kind, section := elf.SymType(b[4]&0xf), binary.LittleEndian.Uint16(b[6:])
	at := binary.LittleEndian.Uint64(b[8:])
	if at == 0 || section == 0 || int(section) >= len(f.Sections) {
		return
	}
	switch {
	case kind == elf.STT_FUNC, kind == gnuIFunc:
	case kind == elf.STT_NOTYPE && f.Sections[section].Flags&elf.SHF_EXECINSTR != 0: // by hand, in assembly
	default:
		return
	}
	s.functions = append(s.functions, function{
		address: at,
		size:    uint32(min(binary.LittleEndian.Uint64(b[16:]), math.MaxUint32)),
		name:    binary.LittleEndian.Uint32(b),
	})
}

func (s *symbols) cost() int64 { return int64(cap(s.functions)) * 16 }

// at gives the functions that hold an address, which are names of the same one.
func (s *symbols) at(a uint64) []function {
	i, _ := slices.BinarySearchFunc(s.functions, a, func(f function, a uint64) int {
		if f.address <= a {
			return -1
		}
		return 1
	})
	// One of assembly may stand, without a size, within one that holds the address.
	for back := 0; i > 0 && back < 16; back++ {
		last := s.functions[i-1]
		if last.size == 0 && s.together(last.address, a) || a-last.address < uint64(last.size) {
			first := i - 1
			for first > 0 && i-first < 32 && s.functions[first-1].address == last.address {
				first--
			}
			return s.functions[first:i]
		}
		i--
	}
	return nil
}

// together tells whether two addresses are in one section: what has no size ends there
// at the latest.
func (s *symbols) together(a, b uint64) bool {
	return slices.ContainsFunc(s.code, func(c [2]uint64) bool {
		return c[0] <= a && a < c[1] && c[0] <= b && b < c[1]
	})
}

// start gives where the function that holds an address begins.
func (s *symbols) start(a uint64) (uint64, bool) {
	if f := s.at(a); len(f) > 0 && f[len(f)-1].size > 0 {
		return f[0].address, true
	}
	return 0, false
}

// name gives the plainest name of the function that holds an address: connect, not
// __connect or __libc_connect.
func (s *symbols) name(a uint64) string {
	best, sized := "", false
	for _, f := range s.at(a) {
		name := s.text(f.name)
		if name == "" || strings.HasPrefix(name, "$") { // marks of arm64 code
			continue
		}
		if best == "" || (f.size > 0 && !sized) || (f.size > 0) == sized && plainer(name, best) {
			best, sized = name, f.size > 0
		}
	}
	return demangled(best)
}

func plainer(a, b string) bool {
	under := func(s string) int { return len(s) - len(strings.TrimLeft(s, "_")) }
	return cmp.Or(cmp.Compare(under(a), under(b)), cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) < 0
}

// text reads the NUL-terminated string at an offset, bounded.
func (s *symbols) text(offset uint32) string {
	if uint64(offset) >= s.nameBytes {
		return ""
	}
	return readString(s.names, int64(offset), 4*maxName)
}

// readString reads a NUL-terminated string, "" where it cannot be read. It is cut at
// most bytes.
func readString(r io.ReaderAt, at int64, most int) string {
	var text []byte
	for len(text) < most {
		var chunk [128]byte
		n, err := r.ReadAt(chunk[:], at+int64(len(text)))
		for i, c := range chunk[:n] {
			if c == 0 {
				return string(append(text, chunk[:i]...))
			}
		}
		text = append(text, chunk[:n]...)
		if err != nil {
			return ""
		}
	}
	return string(text[:most])
}
