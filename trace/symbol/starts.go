package symbol

import (
	"debug/elf"
	"encoding/binary"
	"sort"
)

// starts finds where functions begin in .eh_frame_hdr, which stripped programs have too:
// exceptions and debuggers unwind by it (Linux Standard Base, Core, 10.6.2).
type starts struct {
	prog  *elf.Prog
	count int
	base  uint64 // what the entries count from
}

// findStarts reads the head of the table. It knows the one encoding that linkers write.
func findStarts(f *elf.File) starts {
	const (
		head    = 12
		sdata4  = 0x0b | 0x30 // relative to the table itself
		udata4  = 0x03
		pcrel4  = 0x1b
		version = 1
	)
	for _, p := range f.Progs {
		if p.Type != elf.PT_GNU_EH_FRAME {
			continue
		}
		var b [head]byte
		if n, _ := p.ReadAt(b[:], 0); n < head || b[0] != version || b[1] != pcrel4 || b[2] != udata4 || b[3] != sdata4 {
			return starts{}
		}
		count := uint64(binary.LittleEndian.Uint32(b[8:]))
		if p.Filesz < head || count > (p.Filesz-head)/8 {
			return starts{}
		}
		return starts{p, int(count), p.Vaddr}
	}
	return starts{}
}

// at gives the start of the function that holds an address, or of one before it.
func (s starts) at(a uint64) (uint64, bool) {
	entry := func(i int) uint64 {
		var b [4]byte
		s.prog.ReadAt(b[:], 12+8*int64(i)) // of zeros where it cannot be read
		return s.base + uint64(int64(int32(binary.LittleEndian.Uint32(b[:]))))
	}
	i := sort.Search(s.count, func(i int) bool { return entry(i) > a })
	if i == 0 {
		return 0, false
	}
	return entry(i - 1), true
}
