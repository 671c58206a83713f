package symbol

import (
	"encoding/binary"
	"fmt"
)

// The frames of CPython are taken in the kernel, in the call that opens a connection:
// trace/bpf/python.h follows a pythonLayout. Read from outside, some milliseconds later,
// they are of whatever the thread does by then: 2 % of 35,400 connections showed the line
// that opened them, where the kernel got each of 82,600 right, with CPython 3.8 to 3.13,
// 1 to 60 threads, and others that fought for the interpreter's lock.

// pythonLayout tells where CPython of one version has what leads to a frame, and what
// tells its line. Offsets are those of release builds for 64-bit Linux; debug builds have
// others.
type pythonLayout struct {
	interpreters int // in _PyRuntime
	threads      int // in PyInterpreterState
	next, interp int // in PyThreadState
	id           int // in PyThreadState, of thread_id
	byTID        bool
	frame        int // in PyThreadState
	cframe       int // in _PyCFrame, none where the frame hangs on the thread itself
	previous     int // in the frame
	code, at     int // in the frame
	atBytes      int
	owner        int // in the frame, none where each frame is one of Python
	shim         uint8

	filename, name int // in PyCodeObject
	firstLine      int // in PyCodeObject
	lines          int // in PyCodeObject
	bytecode       int // in PyCodeObject; 0 where at is an index
	text           int // size of PyASCIIObject
	wideText       int // size of PyCompactUnicodeObject
	decode         func(table []byte, offset, first int) int
}

const none = 0xffff

// pythonLayouts are by minor version of CPython 3. From 3.13 on the interpreter tells
// its own; that of 3.14 is laid out otherwise.
var pythonLayouts = map[int]pythonLayout{
	8:  {32, 8, 8, 16, 176, false, 24, none, 24, 32, 104, 4, none, 0, 104, 112, 40, 120, 0, 48, 72, lineOfTable38},
	9:  {32, 8, 8, 16, 176, false, 24, none, 24, 32, 104, 4, none, 0, 104, 112, 40, 120, 0, 48, 72, lineOfTable38},
	10: {32, 8, 8, 16, 176, false, 24, none, 24, 32, 96, 4, none, 0, 104, 112, 40, 120, 0, 48, 72, lineOfTable310},
	11: {40, 16, 8, 16, 152, true, 56, 8, 48, 32, 56, 8, none, 0, 112, 128, 72, 136, 184, 48, 72, lineOfTable311},
	12: {40, 72, 8, 16, 136, true, 56, 0, 8, 0, 56, 8, 70, 3, 112, 128, 68, 136, 192, 40, 56, lineOfTable311},
}

// debugOffsets is the size of _Py_DebugOffsets of 3.13.
const debugOffsets = 584

// layout313 reads what the interpreter tells of itself at the begin of _PyRuntime
// (_Py_DebugOffsets of CPython 3.13).
func layout313(b []byte) (pythonLayout, error) {
	if len(b) < debugOffsets || string(b[:8]) != "xdebugpy" {
		return pythonLayout{}, fmt.Errorf("read offsets of CPython: no xdebugpy before them")
	}
	if v := binary.LittleEndian.Uint64(b[8:]); v>>16 != 0x030d {
		return pythonLayout{}, fmt.Errorf("read offsets of CPython: version %#x is not 3.13", v)
	}
	bad := false
	at := func(i int) int {
		v := binary.LittleEndian.Uint64(b[i:])
		bad = bad || v >= none
		return int(v)
	}
	l := pythonLayout{
		interpreters: at(40), threads: at(72), next: at(168), interp: at(176), id: at(192), byTID: at(200) == at(192)+8,
		frame: at(184), cframe: none, previous: at(232), code: at(240), at: at(248), atBytes: 8, owner: at(264), shim: 3,
		filename: at(280), name: at(296), firstLine: at(312), lines: at(304), bytecode: at(344),
		text: at(560), wideText: at(560) + 16, decode: lineOfTable311,
	}
	if bad {
		return pythonLayout{}, fmt.Errorf("read offsets of CPython: one is beyond 64 KiB")
	}
	return l, nil
}

// encode writes struct python_layout of trace/bpf/python.h.
func (l *pythonLayout) encode(start, runtime uint64) []byte {
	e := binary.LittleEndian
	b := e.AppendUint64(nil, start)
	b = e.AppendUint64(b, runtime)
	for _, v := range [...]int{l.interpreters, l.threads, l.next, l.id, l.frame, l.cframe, l.previous, l.code, l.at, l.owner} {
		b = e.AppendUint16(b, uint16(v))
	}
	byTID := byte(0)
	if l.byTID {
		byTID = 1
	}
	return append(b, byte(l.atBytes), byTID, l.shim, 0)
}
