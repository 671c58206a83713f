package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const btfFile = "/sys/kernel/btf/vmlinux"

// BTF tells whether the kernel describes its types, which programs that fit any
// kernel need (Documentation/bpf/btf.rst; CONFIG_DEBUG_INFO_BTF).
func BTF() error {
	const feature = "BTF, the kernel's description of its types (" + btfFile + ")"
	f, err := os.Open(btfFile)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, os.ErrNotExist):
		return &Unsupported{Feature: feature, Err: err}
	}
	return fmt.Errorf("probe %s: %w", feature, err)
}

// BPFIterators tells whether the kernel has iterators over the descriptors of
// tasks and over TCP sockets (Documentation/bpf/bpf_iterators.rst). Each is a
// function by whose name a program is attached; BTF lists it.
func BPFIterators() error {
	return btfNamed("BPF iterators over descriptors and TCP sockets", "5.11", "bpf_iter_task_file", "bpf_iter_tcp", "bpf_sock_from_file")
}

// BPFStates tells whether BPF programs can be attached to the changes of TCP sockets'
// states, and hand records over in a ring (Documentation/bpf/ringbuf.rst).
func BPFStates() error {
	return btfNamed("BPF programs at inet_sock_set_state, and their ring buffer", "5.8", "btf_trace_inet_sock_set_state", "bpf_ringbuf_reserve")
}

// btfNamed tells whether BTF lists functions or types of those names.
func btfNamed(feature, since string, wanted ...string) error {
	f, err := os.Open(btfFile)
	if errors.Is(err, os.ErrNotExist) {
		return &Unsupported{Feature: feature, Err: err}
	}
	if err != nil {
		return fmt.Errorf("probe %s: %w", feature, err)
	}
	defer f.Close()
	names, err := btfNames(f)
	if err != nil {
		return fmt.Errorf("probe %s: %w", feature, err)
	}
	for _, want := range wanted {
		if !bytes.Contains(names, []byte("\x00"+want+"\x00")) {
			return &Unsupported{Feature: feature, Since: since, Err: fmt.Errorf("no %s in BTF", want)}
		}
	}
	return nil
}

// btfNames reads the strings of a BTF blob: struct btf_header in
// include/uapi/linux/btf.h.
func btfNames(r io.ReaderAt) ([]byte, error) {
	const magic, most = 0xeb9f, 1 << 28
	var h [24]byte
	if _, err := r.ReadAt(h[:], 0); err != nil {
		return nil, fmt.Errorf("read BTF header: %w", err)
	}
	if m := binary.NativeEndian.Uint16(h[:]); m != magic {
		return nil, fmt.Errorf("read BTF header: magic number %#x, not %#x", m, magic)
	}
	begin := int64(binary.NativeEndian.Uint32(h[4:])) + int64(binary.NativeEndian.Uint32(h[16:]))
	size := binary.NativeEndian.Uint32(h[20:])
	if size > most {
		return nil, fmt.Errorf("read BTF header: %d bytes of names", size)
	}
	names := make([]byte, size)
	if _, err := r.ReadAt(names, begin); err != nil {
		return nil, fmt.Errorf("read BTF names: %w", err)
	}
	return names, nil
}

// BPFReadsMemory tells whether BPF programs may read the kernel's memory:
// lockdown in its mode confidentiality forbids that (kernel_lockdown(7)).
func BPFReadsMemory() error {
	const feature, file = "BPF programs that read kernel memory", "/sys/kernel/security/lockdown"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil // no securityfs, no lockdown, or not for this user to read: loading tells
	}
	if strings.Contains(string(text), "[confidentiality]") {
		return &Unsupported{Feature: feature, Err: errors.New("lockdown is in its mode confidentiality")}
	}
	return nil
}

// BPFMaps tells whether this process may use bpf(2) at all: it makes a table of
// one entry. A kernel without bpf(2) is an *Unsupported; without the privilege,
// or where a seccomp filter forbids it, the probe cannot tell.
func BPFMaps() error {
	const (
		feature   = "bpf(2)"
		mapCreate = 0 // BPF_MAP_CREATE
		hash      = 1 // BPF_MAP_TYPE_HASH
	)
	attr := struct{ kind, key, value, entries, flags uint32 }{hash, 4, 4, 1, 0}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, mapCreate, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	switch {
	case errno == 0:
		return unix.Close(int(fd))
	case errno == unix.ENOSYS:
		return &Unsupported{Feature: feature, Err: errno}
	}
	return fmt.Errorf("probe %s: %w", feature, errno)
}

// MissingCapabilities names those of CAP_BPF and CAP_PERFMON that the calling
// thread lacks (capabilities(7)). CAP_SYS_ADMIN stands for both.
func MissingCapabilities() ([]string, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		return nil, fmt.Errorf("read capabilities: %w", err)
	}
	has := func(n uint) bool { return caps[n/32].Effective>>(n%32)&1 != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return nil, nil
	}
	var missing []string
	if !has(unix.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	return missing, nil
}
