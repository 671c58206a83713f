package kernel

import "strings"

// MissingError says why the kernel cannot be let do something here: each thing that
// is missing, by name.
type MissingError struct {
	Doing string   // "trace", "count by BPF"; "" where the caller says it
	Needs []string // "CAP_BPF", "CAP_PERFMON", "BTF (/sys/kernel/btf/vmlinux)", ...
	Err   error    // what the kernel answered, nil where nothing was asked of it
}

// Error names what is missing.
func (e *MissingError) Error() string {
	msg := "needs " + strings.Join(e.Needs, " and ")
	if e.Doing != "" {
		msg = e.Doing + ": " + msg
	}
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap gives the kernel's own answer.
func (e *MissingError) Unwrap() error { return e.Err }
