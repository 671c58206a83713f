package filter

import "slices"

// assembler builds a program from its end to its beginning. All jumps go
// forward, so that a jump is made when its targets are there already and its
// distances known.
type assembler struct {
	code    []Instr         // the last instruction first
	detours map[label]label // the nearest jump to each label that needed one
}

// label is an instruction, by how many there are from it to the end.
type label int

// here is the instruction that was put last, which runs next.
func (a *assembler) here() label { return label(len(a.code)) }

func (a *assembler) put(i Instr) label {
	a.code = append(a.code, i)
	return a.here()
}

// goTo makes the next instruction that is put be followed by the one at l.
func (a *assembler) goTo(l label) {
	if l != a.here() {
		a.put(Instr{Code: jumpAlways, K: uint32(a.here() - l)})
	}
}

// test puts a conditional jump. Its distances have 8 bits: what is farther
// away is reached over a jump that follows.
func (a *assembler) test(code uint16, k uint32, yes, no label) label {
	const farthest = 255
	// The second detour may lengthen the way that the first one measured.
	for a.here()-yes > farthest || a.here()-no > farthest {
		far := &yes
		if a.here()-yes <= farthest {
			far = &no
		}
		*far = a.detour(*far, farthest)
	}
	return a.put(Instr{Code: code, Jt: uint8(a.here() - yes), Jf: uint8(a.here() - no), K: k})
}

// detour gives a jump to l that is near enough.
func (a *assembler) detour(l label, farthest label) label {
	if near, ok := a.detours[l]; ok && a.here()-near <= farthest {
		return near
	}
	if a.detours == nil {
		a.detours = make(map[label]label)
	}
	a.goTo(l)
	a.detours[l] = a.here()
	return a.here()
}

// oneOf tests whether the accumulator is one of the values.
func (a *assembler) oneOf(values []uint32, yes, no label) {
	for _, v := range values {
		a.test(jumpEq, v, yes, no)
		no = a.here()
	}
}

// keep loads what is at k behind the index register and keeps it.
func (a *assembler) keep(load uint16, k, slot uint32) label {
	a.put(Instr{Code: store, K: slot})
	return a.put(Instr{Code: load, K: k})
}

func (a *assembler) program() []Instr {
	slices.Reverse(a.code)
	return a.code
}
