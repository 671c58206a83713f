package filter

import (
	"encoding/binary"
	"fmt"
)

// frame is a packet as a socket's program sees it; protocol is the EtherType
// that the kernel keeps beside it.
type frame struct {
	bytes    []byte
	protocol uint16
}

// run is the kernel's interpreter (Documentation/networking/filter.rst) of the
// instructions that are used: it gives what the program returns. A load from
// outside of the packet returns 0.
func run(program []Instr, f frame) (uint32, error) {
	var a, x uint32
	var mem [16]uint32
	var stored [16]bool
	for pc := 0; pc < len(program); pc++ {
		i := program[pc]
		jump := func(holds bool) {
			if holds {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
		load := func(at uint64, size int) bool {
			if at+uint64(size) > uint64(len(f.bytes)) {
				return false
			}
			var word [4]byte
			copy(word[4-size:], f.bytes[at:])
			a = binary.BigEndian.Uint32(word[:])
			return true
		}
		ok := true
		switch i.Code {
		case 0x20, 0x28, 0x30: // ld, ldh, ldb [k]
			if i.K == 0xfffff000 { // SKF_AD_OFF + SKF_AD_PROTOCOL
				a = uint32(f.protocol)
				break
			}
			ok = load(uint64(i.K), map[uint16]int{0x20: 4, 0x28: 2, 0x30: 1}[i.Code])
		case 0x40, 0x48, 0x50: // ld, ldh, ldb [x+k]
			ok = load(uint64(i.K)+uint64(x), map[uint16]int{0x40: 4, 0x48: 2, 0x50: 1}[i.Code])
		case 0x60: // ld M[k]
			if !stored[i.K] {
				return 0, fmt.Errorf("instruction %d reads M[%d], which nothing has stored", pc, i.K)
			}
			a = mem[i.K]
		case 0x02: // st M[k]
			mem[i.K], stored[i.K] = a, true
		case 0x01: // ldx #k
			x = i.K
		case 0x07: // tax
			x = a
		case 0x54: // and #k
			a &= i.K
		case 0x64: // lsh #k
			a <<= i.K
		case 0x0c: // add x
			a += x
		case 0x05: // ja
			pc += int(i.K)
		case 0x15:
			jump(a == i.K)
		case 0x25:
			jump(a > i.K)
		case 0x35:
			jump(a >= i.K)
		case 0x45:
			jump(a&i.K != 0)
		case 0x06: // ret #k
			return i.K, nil
		default:
			return 0, fmt.Errorf("instruction %d has code %#x", pc, i.Code)
		}
		if !ok {
			return 0, nil
		}
	}
	return 0, fmt.Errorf("the program of %d instructions ends without a return", len(program))
}
