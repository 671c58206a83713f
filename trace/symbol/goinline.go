package symbol

import (
	"debug/elf"
	"encoding/binary"
)

// maxInlined bounds how deep calls are taken to be inlined into each other.
const maxInlined = 64

// inlineTrees reads which calls were inlined (FUNCDATA_InlTree), from the part of the
// program that holds what functions have beside their code (go:func.*).
type inlineTrees struct {
	memory []*elf.Prog
	base   uint64
}

// inlinedCall is a node of such a tree, of Go 1.20 and later.
type inlinedCall struct {
	name   uint32
	parent uint64 // where, in the function, the call stood
}

// inlinedAt gives the innermost call that was inlined at an address.
func (f goFunc) inlinedAt(a uint64) (inlinedCall, bool) {
	const (
		header    = 44 // of _func
		treeIndex = 2  // PCDATA_InlTreeIndex
		tree      = 3  // FUNCDATA_InlTree
	)
	if f.t.inlined.base == 0 {
		return inlinedCall{}, false
	}
	npcdata, nfuncdata := uint64(f.u32(28)), uint64(f.b[43])
	if npcdata <= treeIndex || nfuncdata <= tree || uint64(len(f.b)) < header+4*(npcdata+nfuncdata) {
		return inlinedCall{}, false
	}
	index, ok := f.t.value(f.u32(header+4*treeIndex), a-f.entry)
	if !ok || index < 0 {
		return inlinedCall{}, false
	}
	at := f.u32(header + 4*int(npcdata) + 4*tree)
	if at == ^uint32(0) {
		return inlinedCall{}, false
	}
	return f.t.inlined.call(f.t.inlined.base+uint64(at), index)
}

// call reads one node (inlinedCall in src/runtime/symtabinl.go).
func (t inlineTrees) call(tree uint64, index int32) (inlinedCall, bool) {
	var b [16]byte
	if !readMemory(t.memory, tree+uint64(index)*16, b[:]) {
		return inlinedCall{}, false
	}
	return inlinedCall{
		name:   binary.LittleEndian.Uint32(b[4:]),
		parent: uint64(binary.LittleEndian.Uint32(b[8:])),
	}, true
}

// readMemory reads what a file says of memory.
func readMemory(progs []*elf.Prog, a uint64, b []byte) bool {
	for _, p := range progs {
		if p.Type == elf.PT_LOAD && p.Vaddr <= a && a-p.Vaddr < p.Filesz {
			n, _ := p.ReadAt(b, int64(a-p.Vaddr))
			return n == len(b)
		}
	}
	return false
}
