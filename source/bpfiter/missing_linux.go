package bpfiter

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

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

// probes are what Probe asks, in a form that a test can change.
type probes struct {
	capabilities                 func() ([]string, error)
	maps, btf, iterators, memory func() error
}

var asked = probes{kernel.MissingCapabilities, kernel.BPFMaps, kernel.BTF, kernel.BPFIterators, kernel.BPFReadsMemory}

// Probe tells what is missing: nil for nothing, a *MissingError, or another
// error where that could not be told. It takes milliseconds, for no program is
// loaded.
func Probe() error { return asked.probe() }

func (p *probes) probe() error {
	missing, err := p.capabilities()
	if err != nil {
		return fmt.Errorf("count by BPF: %w", err)
	}
	m := &MissingError{Needs: missing}
	var unsure []error
	ask := func(need string, err error) {
		switch {
		case err == nil:
		case errors.Is(err, errors.ErrUnsupported):
			m.Needs = append(m.Needs, need)
			if m.Err == nil {
				m.Err = err
			}
		default:
			unsure = append(unsure, err)
		}
	}
	if len(missing) == 0 {
		err := p.maps()
		if errors.Is(err, unix.EPERM) {
			// In a user namespace capabilities are not what they seem.
			m.Needs, m.Err = append(m.Needs, "bpf(2), which a seccomp filter or a user namespace forbids"), err
		} else {
			ask("bpf(2)", err)
		}
	}
	if err := p.btf(); err != nil {
		ask("BTF (/sys/kernel/btf/vmlinux)", err)
	} else {
		ask("BPF iterators (Linux 5.11)", p.iterators())
	}
	ask("lockdown below confidentiality", p.memory())
	if len(m.Needs) > 0 {
		return m
	}
	if len(unsure) > 0 {
		return fmt.Errorf("count by BPF: %w", errors.Join(unsure...))
	}
	return nil
}
