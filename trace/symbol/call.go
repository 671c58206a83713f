package symbol

import (
	"bytes"
	"encoding/binary"
)

// arch is a processor, by what stack words need to know of it.
type arch uint8

const (
	otherArch arch = iota
	amd64
	arm64
)

// maxCall is the length of the longest call instruction looked for.
const maxCall = 7

// call tells whether the code that ends at a return address ends in a call, and if so
// where to; target is 0 where the instruction does not say, as it reads it from a
// register or memory. code holds up to maxCall bytes, the last before ret.
func (a arch) call(code []byte, ret uint64) (target uint64, ok bool) {
	switch a {
	case amd64:
		return callAMD64(code, ret)
	case arm64:
		return callARM64(code, ret)
	}
	return 0, false
}

// callAMD64 knows E8 (near, relative) and FF /2 (near, absolute indirect), with the
// lengths that its addressing forms have (Intel SDM, CALL and table 2-2).
func callAMD64(code []byte, ret uint64) (target uint64, ok bool) {
	n := len(code)
	if n >= 5 && code[n-5] == 0xe8 {
		return ret + uint64(int64(int32(binary.LittleEndian.Uint32(code[n-4:])))), true
	}
	for _, length := range [...]int{2, 3, 4, 6, 7} {
		if n >= length && code[n-length] == 0xff && lengthOfFF2(code[n-length+1:]) == length {
			return 0, true
		}
	}
	return 0, false
}

// lengthOfFF2 gives the length of the instruction FF /2 with its opcode, 0 where the
// ModR/M byte is of another one.
func lengthOfFF2(modrm []byte) int {
	mod, op, rm := modrm[0]>>6, modrm[0]>>3&7, modrm[0]&7
	if op != 2 {
		return 0
	}
	length := 2
	if mod != 3 && rm == 4 { // a SIB byte follows
		length++
		if mod == 0 && len(modrm) > 1 && modrm[1]&7 == 5 {
			length += 4
		}
	}
	switch {
	case mod == 1:
		length++
	case mod == 2, mod == 0 && rm == 5:
		length += 4
	}
	return length
}

// callARM64 knows BL and BLR, with the variants that authenticate the pointer (Arm
// ARM, C6.2).
func callARM64(code []byte, ret uint64) (target uint64, ok bool) {
	if len(code) < 4 || ret%4 != 0 {
		return 0, false
	}
	w := binary.LittleEndian.Uint32(code[len(code)-4:])
	switch {
	case w>>26 == 0b100101: // BL, by words
		return ret - 4 + uint64(int64(int32(w<<6)>>6)*4), true
	case w&0xfffffc1f == 0xd63f0000, // BLR
		w&0xfffff81f == 0xd63f081f, // BLRAAZ, BLRABZ
		w&0xfffff800 == 0xd73f0800: // BLRAA, BLRAB
		return 0, true
	}
	return 0, false
}

// jumps shows yield where the jumps in code may lead, until it returns false: E9 and
// 0F 8x of x86-64, B and B.cond of arm64.
func (a arch) jumps(code []byte, at uint64, yield func(target uint64) bool) {
	switch a {
	case amd64:
		for i := 0; i+5 <= len(code); i++ {
			if code[i] == 0xe9 || i > 0 && code[i-1] == 0x0f && code[i]&0xf0 == 0x80 {
				offset := int32(binary.LittleEndian.Uint32(code[i+1:]))
				if !yield(at + uint64(i) + 5 + uint64(int64(offset))) {
					return
				}
			}
		}
	case arm64:
		for i := 0; i+4 <= len(code); i += 4 {
			w := binary.LittleEndian.Uint32(code[i:])
			offset := int64(0)
			switch {
			case w>>26 == 0b000101: // B
				offset = int64(int32(w<<6)>>6) * 4
			case w>>24 == 0b01010100: // B.cond
				offset = int64(int32(w<<8)>>13) * 4
			default:
				continue
			}
			if !yield(at + uint64(i) + uint64(offset)) {
				return
			}
		}
	}
}

// stubSlot gives the address of the word that a stub of the procedure linkage table
// jumps through, which the dynamic linker has filled in (x86-64 psABI, 5.2). code are the
// 16 bytes at an address; ok is false where they are no stub.
func stubSlot(code []byte, at uint64) (slot uint64, ok bool) {
	rest := bytes.TrimPrefix(code, []byte{0xf3, 0x0f, 0x1e, 0xfa}) // endbr64
	rest = bytes.TrimPrefix(rest, []byte{0xf2})                    // bnd
	if len(rest) < 6 || rest[0] != 0xff || rest[1] != 0x25 {
		return 0, false
	}
	next := at + uint64(len(code)-len(rest)) + 6
	return next + uint64(int64(int32(binary.LittleEndian.Uint32(rest[2:])))), true
}
