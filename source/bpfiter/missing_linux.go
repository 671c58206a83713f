package bpfiter

import (
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// MissingError says why the kernel cannot be let count here: each thing that
// is missing, by name.
type MissingError struct {
	Needs []string // "CAP_BPF", "CAP_PERFMON", "BTF (/sys/kernel/btf/vmlinux)", ...
	Err   error    // what the kernel answered, nil where nothing was asked of it
}

// Error names what is missing.
func (e *MissingError) Error() string {
	msg := "count by BPF: needs " + strings.Join(e.Needs, " and ")
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap gives the kernel's own answer.
func (e *MissingError) Unwrap() error { return e.Err }

// Probe tells what is missing: nil for nothing, a *MissingError, or another
// error where that could not be told. It takes milliseconds, for no program is
// loaded.
func Probe() error {
	needs, because, err := kernel.MissingForBPF(kernel.Need{Name: "BPF iterators (Linux 5.11)", Probe: kernel.BPFIterators})
	switch {
	case err != nil:
		return fmt.Errorf("count by BPF: %w", err)
	case len(needs) > 0:
		return &MissingError{Needs: needs, Err: because}
	}
	return nil
}
