package symbol

import (
	"encoding/binary"
	"strings"
)

// pythonCode is what is kept of a code object. Its first words tell whether another has
// come to stand in its place.
type pythonCode struct {
	filename, name, lines uint64
	firstLine             uint32
	file, symbol          string
	table                 []byte
}

// Bounds of what is read of an interpreter.
const (
	maxPythonCodes = 1 << 14
	maxLineTable   = 1 << 20
)

// read gives a code object of the process.
func (i *interpreter) read(p *process, a uint64) (pythonCode, bool) {
	l := &i.layout
	var b [256]byte
	if !p.memory(a, b[:]) {
		known, ok := i.codes[a] // as it was
		return known, ok && p.gone
	}
	e := binary.LittleEndian
	if e.Uint64(b[8:]) != i.code {
		return pythonCode{}, false
	}
	code := pythonCode{
		filename:  e.Uint64(b[l.filename:]),
		name:      e.Uint64(b[l.name:]),
		lines:     e.Uint64(b[l.lines:]),
		firstLine: e.Uint32(b[l.firstLine:]),
	}
	if known, ok := i.codes[a]; ok && known.filename == code.filename && known.name == code.name && known.lines == code.lines && known.firstLine == code.firstLine {
		return known, true
	}
	var ok [2]bool
	code.file, ok[0] = pythonString(p, code.filename, l)
	code.symbol, ok[1] = pythonString(p, code.name, l)
	if !ok[0] || !ok[1] {
		return pythonCode{}, false
	}
	code.table = pythonBytes(p, code.lines)
	if len(i.codes) >= maxPythonCodes {
		clear(i.codes)
	}
	i.codes[a] = code
	return code, true
}

// pythonBytes reads a bytes object, nil where it is none.
func pythonBytes(p *process, a uint64) []byte {
	size, ok := p.word(a + 16)
	if !ok || size == 0 || size > maxLineTable {
		return nil
	}
	b := make([]byte, size)
	if !p.memory(a+32, b) {
		return nil
	}
	return b
}

// pythonString reads a str object.
func pythonString(p *process, a uint64, l *pythonLayout) (string, bool) {
	var head [40]byte
	if !p.memory(a, head[:]) {
		return "", false
	}
	at, length, kind, ok := pythonText(head[:], l)
	if !ok {
		return "", false
	}
	if length == 0 {
		return "", true
	}
	b := make([]byte, length*kind)
	if !p.memory(a+uint64(at), b) {
		return "", false
	}
	return clean(decodeText(b, kind)), true
}

// decodeText turns characters of one, two or four bytes into a string.
func decodeText(b []byte, kind int) string {
	var text strings.Builder
	for ; len(b) >= kind; b = b[kind:] {
		switch kind {
		case 1:
			text.WriteRune(rune(b[0]))
		case 2:
			text.WriteRune(rune(binary.LittleEndian.Uint16(b)))
		default:
			text.WriteRune(rune(binary.LittleEndian.Uint32(b)))
		}
	}
	return text.String()
}
