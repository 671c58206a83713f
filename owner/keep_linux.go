package owner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
)

// DefaultConnections is how many a Keeper remembers unless it is told otherwise: those
// of a minute, which is how long TIME-WAIT lasts, at 4,300 a second.
const DefaultConnections = 1 << 18

// mostConnections keeps the table below what one allocation of the kernel can hold.
const mostConnections = 1 << 24

// Options say how to remember. The zero value works.
type Options struct {
	// Connections is how many are remembered, 0 for DefaultConnections; the kernel
	// takes 72 bytes for each. Then the one that was closed first is forgotten.
	Connections int

	Dir string // where the BPF file system is mounted, "" for Root
}

// Keeper has the kernel note who closes sockets, until Close.
type Keeper struct {
	objects rememberObjects
	link    link.Link
	pin     *pin
	places  uint64
}

// Keep begins to remember. It needs CAP_BPF, CAP_PERFMON, BTF and a BPF file system
// that the caller may write to; the error says what is missing.
func Keep(o Options) (*Keeper, error) {
	k, err := keep(o)
	if err != nil {
		return nil, fmt.Errorf("remember the owners of TIME-WAIT: %w", err)
	}
	return k, nil
}

func keep(o Options) (*Keeper, error) {
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	if o.Connections < 1 || o.Connections > mostConnections {
		return nil, fmt.Errorf("make a table of %d connections: expected 1 to %d", o.Connections, mostConnections)
	}
	if o.Dir == "" {
		o.Dir = Root
	}
	p, err := newPin(o.Dir)
	if err != nil {
		return nil, err
	}
	k := &Keeper{pin: p, places: uint64(o.Connections)}
	if err := k.begin(uint32(o.Connections)); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

func (k *Keeper) begin(connections uint32) error {
	spec, err := loadRemember()
	if err != nil {
		return fmt.Errorf("read BPF object: %w", err)
	}
	spec.Maps["owners"].MaxEntries = 1 + connections
	if err := spec.Variables["places"].Set(uint64(connections)); err != nil {
		return fmt.Errorf("set the size of the table: %w", err)
	}
	if err := spec.LoadAndAssign(&k.objects, nil); err != nil {
		return fmt.Errorf("load BPF program: %w", explain(err))
	}
	if err := k.objects.Owners.Pin(k.pin.table()); err != nil {
		return fmt.Errorf("pin %s: %w", k.pin.table(), err)
	}
	if k.link, err = link.AttachTracing(link.TracingOptions{Program: k.objects.Keep}); err != nil {
		return fmt.Errorf("attach to inet_sock_set_state: %w", explain(err))
	}
	return nil
}

// explain puts what is missing before what the kernel said.
func explain(err error) error {
	needs, _ := kernel.MissingCapabilities()
	if kernel.BTF() != nil {
		needs = append(needs, "BTF (/sys/kernel/btf/vmlinux)")
	}
	if kernel.BPFReadsMemory() != nil {
		needs = append(needs, "lockdown below confidentiality")
	}
	switch {
	case len(needs) > 0:
		return fmt.Errorf("needs %s: %w", strings.Join(needs, " and "), err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("needs bpf(2), which a seccomp filter or a user namespace forbids: %w", err)
	}
	return err
}

// Stats is what a Keeper came to.
type Stats struct {
	Remembered uint64 // closes that were noted
	Forgotten  uint64 // those of them that later ones took the place of

	// Missed counts the changes of any socket's state, a few of them such closes,
	// that came in an interrupt while the program ran on the same CPU: the kernel
	// passes over these.
	Missed uint64
}

// Stats tells how many closes were noted until now.
func (k *Keeper) Stats() (Stats, error) {
	var first [recordLen]byte
	if err := k.objects.Owners.Lookup(uint32(0), &first); err != nil {
		return Stats{}, fmt.Errorf("read how many owners were remembered: %w", err)
	}
	n := binary.NativeEndian.Uint64(first[:])
	run, err := k.objects.Keep.Stats()
	if err != nil {
		return Stats{}, fmt.Errorf("read how many changes were missed: %w", err)
	}
	return Stats{Remembered: n, Forgotten: n - min(n, k.places), Missed: run.RecursionMisses}, nil
}

// Close forgets everything and takes the program and its table out of the kernel.
func (k *Keeper) Close() error {
	if k.pin == nil {
		return nil
	}
	errs := []error{k.pin.remove()}
	k.pin = nil
	if k.link != nil {
		errs = append(errs, k.link.Close())
	}
	if err := errors.Join(append(errs, k.objects.Close())...); err != nil {
		return fmt.Errorf("end remembering owners: %w", err)
	}
	return nil
}
