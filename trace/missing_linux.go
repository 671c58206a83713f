package trace

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kernel"
)

// MissingError says why the kernel cannot be traced here, or not in full: each thing
// that is missing, by name.
type MissingError = kernel.MissingError

var (
	states    = kernel.Need{Name: "BPF programs at inet_sock_set_state (Linux 5.8)", Probe: kernel.BPFStates}
	iterators = kernel.Need{Name: "BPF iterators (Linux 5.11)", Probe: kernel.BPFIterators}
)

// Probe tells what is missing for a trace: nil for nothing, a *MissingError, or
// another error where that could not be told. No program is loaded.
func Probe() error { return lacks(states) }

func lacks(more ...kernel.Need) error {
	needs, because, err := kernel.MissingForBPF(more...)
	switch {
	case err != nil:
		return fmt.Errorf("trace: %w", err)
	case len(needs) > 0:
		return &MissingError{Doing: "trace", Needs: needs, Err: because}
	}
	return nil
}

// gap says that a part of what was asked for cannot be had. What it needs stands in
// Needs, and not once more in Err.
func gap(what string, err error) tcpvet.Gap {
	m, ok := errors.AsType[*MissingError](err)
	switch {
	case !ok:
		return tcpvet.Gap{What: what, Err: err.Error()}
	case m.Err == nil:
		return tcpvet.Gap{What: what, Err: "not permitted", Needs: strings.Join(m.Needs, " and ")}
	}
	return tcpvet.Gap{What: what, Err: m.Err.Error(), Needs: strings.Join(m.Needs, " and ")}
}
