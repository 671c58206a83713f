package symbol

// Stack is what was taken of a thread at one moment.
type Stack struct {
	// Addresses are as bpf_get_stack gives them: the instruction pointer, then
	// return addresses, innermost first. Zeros and kernel addresses are dropped.
	Addresses []uint64

	// Words are those of the stack from the stack pointer upwards, nil for none.
	// They show the callers that code without frame pointers hides.
	Words []uint64

	// Python holds the frames of the CPython interpreter, innermost first, nil
	// for none.
	Python []PythonCall
}

// PythonCall is one frame of a CPython interpreter.
type PythonCall struct {
	Code uint64 // address of the code object

	// At is where in it: the address of the last instruction (CPython 3.11 and
	// later), else its index, f_lasti.
	At uint64
}

// userAddress tells whether an address can be one of a process: canonical and in the
// lower half, which is below 2^56 even where pages have five levels.
func userAddress(a uint64) bool { return a >= 4096 && a < 1<<56 }
