package bpfiter

import (
	"fmt"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// MissingError says why the kernel cannot be let count here: each thing that
// is missing, by name.
type MissingError = kernel.MissingError

// Probe tells what is missing: nil for nothing, a *MissingError, or another
// error where that could not be told. It takes milliseconds, for no program is
// loaded.
func Probe() error {
	needs, because, err := kernel.MissingForBPF(kernel.Need{Name: "BPF iterators (Linux 5.11)", Probe: kernel.BPFIterators})
	switch {
	case err != nil:
		return fmt.Errorf("count by BPF: %w", err)
	case len(needs) > 0:
		return &MissingError{Doing: "count by BPF", Needs: needs, Err: because}
	}
	return nil
}
