package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Need is something that BPF programs need, and the probe of it.
type Need struct {
	Name  string // "BPF iterators (Linux 5.11)"
	Probe func() error
}

// bpfProbes are what MissingForBPF asks, in a form that a test can change.
type bpfProbes struct {
	capabilities      func() ([]string, error)
	maps, btf, memory func() error
}

// MissingForBPF names what programs that trace the kernel lack here: capabilities
// (capabilities(7)), bpf(2) itself, BTF, and of what else is needed, whose probes may
// rest on BTF. It takes milliseconds, for no program is loaded.
//
// because is what the kernel answered, nil where nothing was asked of it; err is set
// where nothing is known to be missing and something could not be told.
func MissingForBPF(more ...Need) (needs []string, because, err error) {
	return (&bpfProbes{MissingCapabilities, BPFMaps, BTF, BPFReadsMemory}).missing(more)
}

func (p *bpfProbes) missing(more []Need) (needs []string, because, err error) {
	needs, err = p.capabilities()
	if err != nil {
		return nil, nil, err
	}
	var unsure []error
	ask := func(need string, err error) {
		switch {
		case err == nil:
		case errors.Is(err, errors.ErrUnsupported):
			needs = append(needs, need)
			if because == nil {
				because = err
			}
		default:
			unsure = append(unsure, err)
		}
	}
	if len(needs) == 0 {
		err := p.maps()
		if errors.Is(err, unix.EPERM) {
			// In a user namespace capabilities are not what they seem.
			needs, because = append(needs, "bpf(2), which a seccomp filter or a user namespace forbids"), err
		} else {
			ask("bpf(2)", err)
		}
	}
	if err := p.btf(); err != nil {
		ask("BTF ("+btfFile+")", err)
	} else {
		for _, m := range more {
			ask(m.Name, m.Probe())
		}
	}
	ask("lockdown below confidentiality", p.memory())
	if len(needs) > 0 || len(unsure) == 0 {
		return needs, because, nil
	}
	return nil, nil, fmt.Errorf("probe what BPF programs need: %w", errors.Join(unsure...))
}
