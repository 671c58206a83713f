package symbol

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
)

// goTable is the table that Go's runtime keeps of its functions, files and lines
// (.gopclntab). It stands in stripped programs too. The layout is that of
// src/runtime/symtab.go since Go 1.18. (debug/gosym reads older ones too, but believes
// their counts, and knows nothing of inlined calls.)
type goTable struct {
	data    []byte
	text    uint64 // address that entries count from
	end     uint64 // of the last function
	step    uint64 // what differences of addresses are multiplied by
	nfunc   int
	recent  bool // Go 1.20 or later
	names   []byte
	units   []byte
	files   []byte
	values  []byte
	table   []byte
	inlined inlineTrees
}

// Magic numbers of the header.
const (
	magicGo12  = 0xfffffffb
	magicGo116 = 0xfffffffa
	magicGo118 = 0xfffffff0
	magicGo120 = 0xfffffff1
)

// maxGoTable bounds the table, in bytes. That of Kubernetes' kubelet has 20 million.
const maxGoTable = 256 << 20

var errCut = errors.New("read Go's table: it is cut")

// openGoTable gives nil without an error where the file is none of Go's linker.
func openGoTable(f *elf.File) (*goTable, error) {
	s := f.Section(".gopclntab")
	if s == nil {
		s = f.Section(".data.rel.ro.gopclntab")
	}
	if s == nil || s.Type == elf.SHT_NOBITS {
		return nil, nil
	}
	if s.Size > maxGoTable {
		return nil, fmt.Errorf("read Go's table: it has %d bytes, at most %d are read", s.Size, maxGoTable)
	}
	b, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("read Go's table: %w", err)
	}
	t, err := parseGoTable(b)
	if err != nil {
		return nil, err
	}
	if t.nfunc == 0 {
		return t, nil
	}
	m := findModule(f, s.Addr)
	switch header := t.text; {
	case m.text != 0:
		t.text = m.text
	default:
		if t.text = textSymbol(f); t.text == 0 {
			t.text = header
		}
		if text := f.Section(".text"); t.text == 0 && text != nil {
			t.text = text.Addr
		}
	}
	t.end = t.text + uint64(binary.LittleEndian.Uint32(t.table[8*t.nfunc:]))
	if t.recent && m.funcdata != 0 {
		t.inlined = inlineTrees{memory: f.Progs, base: m.funcdata}
	}
	return t, nil
}

// parseGoTable reads the header (pcHeader). Addresses are not known yet.
func parseGoTable(b []byte) (*goTable, error) {
	if len(b) < 16 {
		return nil, errCut
	}
	switch magic := binary.LittleEndian.Uint32(b); magic {
	case magicGo12, magicGo116:
		return nil, errors.New("read Go's table: it is of Go 1.17 or older, 1.18 and later are read")
	case magicGo118, magicGo120:
		if len(b) < 8+8*8 || b[7] != 8 || b[6] == 0 {
			return nil, errCut
		}
		t := &goTable{data: b, step: uint64(b[6]), recent: magic == magicGo120}
		word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
		if word(0) > uint64(len(b)/8) {
			return nil, errCut
		}
		t.nfunc, t.text = int(word(0)), word(2)
		for i, part := range []*[]byte{&t.names, &t.units, &t.files, &t.values, &t.table} {
			at := word(3 + i)
			if at > uint64(len(b)) {
				return nil, errCut
			}
			*part = b[at:]
		}
		if len(t.table) < 8*t.nfunc+4 {
			return nil, errCut
		}
		return t, nil
	default:
		return nil, fmt.Errorf("read Go's table: magic number %#x is not known", magic)
	}
}

func (t *goTable) cost() int64 {
	if t == nil {
		return 0
	}
	return int64(len(t.data))
}

// goFunc is one function's part of the table (_func).
type goFunc struct {
	t     *goTable
	b     []byte
	entry uint64
}

// function finds the one that holds an address.
func (t *goTable) function(a uint64) (goFunc, bool) {
	if t.nfunc == 0 || a < t.text || a >= t.end {
		return goFunc{}, false
	}
	u32 := binary.LittleEndian.Uint32
	i := sort.Search(t.nfunc, func(i int) bool { return t.text+uint64(u32(t.table[8*i:])) > a }) - 1
	if i < 0 {
		return goFunc{}, false
	}
	at := uint64(u32(t.table[8*i+4:]))
	if at >= uint64(len(t.table)) || len(t.table[at:]) < 44 {
		return goFunc{}, false
	}
	f := goFunc{t, t.table[at:], t.text + uint64(u32(t.table[8*i:]))}
	return f, true
}

// places gives the function that holds an address, and what was inlined there. Of C
// code, which stands in the table too where it was linked in, only the name is known:
// that is symbol's.
func (t *goTable) places(a uint64) []place {
	if t == nil {
		return nil
	}
	f, ok := t.function(a)
	if !ok {
		return nil
	}
	var found []place
	for at := a; len(found) < maxInlined; {
		file, line := f.position(at)
		call, ok := f.inlinedAt(at)
		if !ok && file == "" && found == nil {
			return nil
		}
		if !ok {
			return append(found, place{f.name(), file, line})
		}
		found = append(found, place{t.name(call.name), file, line})
		at = f.entry + call.parent
	}
	// A call that is inlined into itself: the tree makes no sense.
	file, line := f.position(a)
	return []place{{f.name(), file, line}}
}

// symbol gives the name of the function that holds an address, Go's or C's.
func (t *goTable) symbol(a uint64) string {
	if t == nil {
		return ""
	}
	if f, ok := t.function(a); ok {
		return demangled(f.name())
	}
	return ""
}

func (f goFunc) u32(at int) uint32 { return binary.LittleEndian.Uint32(f.b[at:]) }

func (f goFunc) name() string { return f.t.name(f.u32(4)) }

func (t *goTable) name(at uint32) string { return clean(cString(t.names, uint64(at))) }

// position gives the file and line of an address, of the innermost function there.
func (f goFunc) position(a uint64) (string, int) {
	file, ok := f.t.value(f.u32(20), a-f.entry)
	if !ok || file < 0 {
		return "", 0
	}
	line, ok := f.t.value(f.u32(24), a-f.entry)
	if !ok || line < 0 {
		line = 0
	}
	at := (uint64(f.u32(32)) + uint64(file)) * 4
	if at+4 > uint64(len(f.t.units)) {
		return "", int(line)
	}
	return clean(cString(f.t.files, uint64(binary.LittleEndian.Uint32(f.t.units[at:])))), int(line)
}

// value decodes a table of values by address: pairs of differences, of which the
// first is zigzag-encoded (src/runtime/symtab.go, pcvalue).
func (t *goTable) value(table uint32, offset uint64) (int32, bool) {
	if table == 0 || uint64(table) >= uint64(len(t.values)) {
		return 0, false
	}
	b, at, value := t.values[table:], uint64(0), int32(-1)
	for first := true; ; first = false {
		delta, n := binary.Uvarint(b)
		if n <= 0 || delta == 0 && !first {
			return 0, false
		}
		step, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return 0, false
		}
		value += int32(uint32(delta>>1) ^ -uint32(delta&1))
		at += step * t.step
		if offset < at {
			return value, true
		}
		b = b[n+m:]
	}
}

// cString gives the NUL-terminated string at an offset.
func cString(b []byte, at uint64) string {
	if at >= uint64(len(b)) {
		return ""
	}
	b = b[at:min(uint64(len(b)), at+4*maxName)]
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}
