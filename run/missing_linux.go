package run

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// MissingError says why nothing can be given to new sockets here: each thing that is
// missing, by name.
type MissingError = kernel.MissingError

// Probe tells what is missing: nil for nothing, a *MissingError, or another error
// where that could not be told. Nothing is loaded.
func Probe() error {
	missing := &MissingError{}
	lacks := func(need string, err error) {
		missing.Needs = append(missing.Needs, need)
		if missing.Err == nil {
			missing.Err = err
		}
	}
	admin, err := kernel.HasCapability(unix.CAP_SYS_ADMIN)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		n    uint
		by   bool // CAP_SYS_ADMIN stands for it
	}{{"CAP_BPF", unix.CAP_BPF, admin}, {"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, false}} {
		has, err := kernel.HasCapability(c.n)
		if err != nil {
			return err
		}
		if !has && !c.by {
			lacks(c.name, nil)
		}
	}
	if len(missing.Needs) == 0 {
		switch err := kernel.BPFMaps(); {
		case errors.Is(err, unix.EPERM): // capabilities of a user namespace do not count
			lacks("bpf(2), which a seccomp filter or a user namespace forbids", err)
		case errors.Is(err, errors.ErrUnsupported):
			lacks("bpf(2)", err)
		case err != nil:
			return err
		}
	}
	for _, n := range []kernel.Need{
		{Name: needsHierarchy, Probe: probeHierarchy},
		{Name: "BPF programs of cgroups (Linux 5.7)", Probe: kernel.BPFCgroupLinks},
	} {
		switch err := n.Probe(); {
		case errors.Is(err, errors.ErrUnsupported):
			lacks(n.Name, nil) // it says no more
		case err != nil:
			return err
		}
	}
	if len(missing.Needs) > 0 {
		return missing
	}
	return nil
}

// seesKernel tells whether programs may look at tasks: CAP_PERFMON (capabilities(7)).
func seesKernel() bool {
	for _, c := range []uint{unix.CAP_PERFMON, unix.CAP_SYS_ADMIN} {
		if has, err := kernel.HasCapability(c); err == nil && has {
			return kernel.BPFReadsMemory() == nil
		}
	}
	return false
}

// explain says what a refusal to attach to a cgroup means.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("attach to the cgroup: a program that is attached above it allows no other, or the privilege is missing (CAP_BPF and CAP_NET_ADMIN): %w", err)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("attach to the cgroup: it has as many programs as the kernel allows: stop one (tcpvet run --list): %w", err)
	}
	return fmt.Errorf("attach to the cgroup: %w", err)
}
