package symbol

import "encoding/binary"

// lineOfTable38 finds the line of an offset, in bytes, in co_lnotab (Objects/
// lnotab_notes.txt of CPython 3.9): pairs of how many bytes and how many lines to add.
func lineOfTable38(table []byte, offset, first int) int {
	line, at := first, 0
	for ; len(table) >= 2; table = table[2:] {
		if at += int(table[0]); at > offset {
			break
		}
		line += int(int8(table[1]))
	}
	return line
}

// lineOfTable310 reads co_linetable of 3.10 (PEP 626): pairs of the length of a range
// and how many lines to add for it, -128 for a range without a line. The offset is in
// instructions of two bytes.
func lineOfTable310(table []byte, offset, first int) int {
	line, at := first, 0
	for ; len(table) >= 2; table = table[2:] {
		delta := int(int8(table[1]))
		if delta != -128 {
			line += delta
		}
		if at += int(table[0]); 2*offset < at {
			if delta == -128 {
				return 0
			}
			return line
		}
	}
	return 0
}

// lineOfTable311 reads co_linetable of 3.11 and later (Objects/locations.md of CPython).
// The offset is in bytes of the code.
func lineOfTable311(table []byte, offset, first int) int {
	const (
		oneLine  = 10 // to 12: the line is one to three down, columns follow
		noColumn = 13
		long     = 14
		noLine   = 15
	)
	line, at := first, 0
	for len(table) > 0 {
		head := table[0]
		kind := head >> 3 & 15
		at += 2 * (int(head&7) + 1)
		table = table[1:]
		known := true
		switch {
		case kind == noLine:
			known = false
		case kind == noColumn, kind == long:
			v, _ := locationVarint(table)
			line += int(v>>1) * (1 - 2*int(v&1))
		case kind >= oneLine:
			line += int(kind - oneLine)
		}
		if offset < at {
			if !known {
				return 0
			}
			return line
		}
		for len(table) > 0 && table[0]&0x80 == 0 { // to the next entry
			table = table[1:]
		}
	}
	return 0
}

// locationVarint reads a number of six bits a byte, the lowest first.
func locationVarint(b []byte) (v uint32, n int) {
	for shift := 0; n < len(b) && shift < 32; shift += 6 {
		c := b[n]
		v |= uint32(c&63) << shift
		n++
		if c&64 == 0 {
			break
		}
	}
	return v, n
}

// pythonText decodes a str object: its head, PyASCIIObject, tells where the characters
// are. It gives their place and size, ok false where it is none.
func pythonText(head []byte, l *pythonLayout) (at, length, kind int, ok bool) {
	if len(head) < 40 {
		return 0, 0, 0, false
	}
	n := binary.LittleEndian.Uint64(head[16:])
	state := binary.LittleEndian.Uint32(head[32:])
	kind = int(state >> 2 & 7)
	compact, ascii := state>>5&1 == 1, state>>6&1 == 1
	if !compact || n > 4096 || kind != 1 && kind != 2 && kind != 4 {
		return 0, 0, 0, false
	}
	if ascii {
		return l.text, int(n), 1, true
	}
	return l.wideText, int(n), kind, true
}
