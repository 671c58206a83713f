package trace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Opening is who opened a connection, and when.
type Opening struct {
	Process tcpvet.Process // Unseen where the reader's PID namespace does not show it
	Thread  int32          // its number as the reader has it, 0 where it is not known
	Comm    string         // of the thread
	Stack   StackID        // 0 where no stack could be taken or kept
	NoRoom  bool           // it was taken, and could not be kept

	// Accepted tells that the thread got the connection by accept(), at the time
	// that Opened says.
	Accepted bool

	// Opened and Waiting are times of the kernel's monotonic clock, since boot
	// less what the machine was asleep: of connect(), and of the peer's FIN; 0
	// where that was not seen.
	Opened, Waiting time.Duration
}

// StackID identifies a stack of a process while the Stacks that gave it is open.
type StackID uint64

// Stack is the user stack of a thread that was in a call.
type Stack struct {
	Addresses []uint64 // innermost first: the instruction pointer, then return addresses

	// Words are those of the nearest 1024 bytes of the stack that a call may have
	// pushed, innermost first. A Go program has none: its Addresses are complete.
	Words []uint64

	// Python holds the calls of CPython's interpreter, innermost first; nil for none,
	// and where they could not be read.
	Python []PythonCall

	Creator uint64 // where the goroutine was started, as a return address; 0 where that is not known

	// Asker holds the stack of the goroutine that started this one and waited for it,
	// innermost first: that of a request for which an http.Transport dials. nil
	// where nobody did, and where that could not be read.
	Asker []uint64

	Cut bool // it is deeper than Addresses tell
}

// PythonCall is a call inside CPython's interpreter.
type PythonCall struct {
	Code uint64 // address of the code object, 0 for one that stands for C
	At   uint64 // where in it: address of the instruction (3.11 and later), or its index
}

// The sizes of struct opening in bpf/stacks.bpf.c and of struct stack in bpf/stack.h.
const (
	openingLen = 72
	maxFrames  = 127
	maxWords   = 40
	maxPython  = 48
	maxAskers  = 32
	stackHead  = 32
	stackWords = stackHead + maxFrames*8
	stackCalls = stackWords + maxWords*8
	stackAsker = stackCalls + maxPython*16
	stackLen   = stackAsker + maxAskers*8
)

// decodeOpening reads a struct opening.
func decodeOpening(b []byte) (Opening, error) {
	if len(b) != openingLen {
		return Opening{}, fmt.Errorf("decode opening: %d bytes, expected %d", len(b), openingLen)
	}
	o := Opening{
		Stack:   StackID(binary.LittleEndian.Uint64(b)),
		Opened:  time.Duration(binary.LittleEndian.Uint64(b[8:])),
		Waiting: time.Duration(binary.LittleEndian.Uint64(b[16:])),
		Process: tcpvet.Process{Start: binary.LittleEndian.Uint64(b[24:]), PID: int32(binary.LittleEndian.Uint32(b[32:]))},
		Thread:  max(int32(binary.LittleEndian.Uint32(b[36:])), 0),
	}
	if o.Process.PID <= 0 {
		o.Process = tcpvet.Unseen
	}
	const accepted, noRoom = 1, 2
	flags := binary.LittleEndian.Uint32(b[40:])
	o.Accepted, o.NoRoom = flags&accepted != 0, flags&noRoom != 0
	comm, _, _ := bytes.Cut(b[48:64], []byte{0})
	o.Comm = string(comm)
	return o, nil
}

// decodeStack reads a struct stack.
func decodeStack(b []byte) (Stack, error) {
	if len(b) != stackLen {
		return Stack{}, fmt.Errorf("decode stack: %d bytes, expected %d", len(b), stackLen)
	}
	count := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	frames, words, calls, askers := count(16), count(18), count(20), count(24)
	if frames > maxFrames || words > maxWords || calls > maxPython || askers > maxAskers {
		return Stack{}, fmt.Errorf("decode stack: %d frames, %d words, %d calls of Python and %d of who asked, expected at most %d, %d, %d and %d",
			frames, words, calls, askers, maxFrames, maxWords, maxPython, maxAskers)
	}
	k := Stack{
		Creator: binary.LittleEndian.Uint64(b[8:]), Cut: count(22) != 0,
		Addresses: wordsOf(b[stackHead:], frames), Words: wordsOf(b[stackWords:], words), Asker: wordsOf(b[stackAsker:], askers),
	}
	for i := range calls {
		call := b[stackCalls+i*16:]
		k.Python = append(k.Python, PythonCall{binary.LittleEndian.Uint64(call), binary.LittleEndian.Uint64(call[8:])})
	}
	return k, nil
}

func wordsOf(b []byte, n int) []uint64 {
	if n == 0 {
		return nil
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[i*8:])
	}
	return out
}
