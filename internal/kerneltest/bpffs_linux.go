package kerneltest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BPFFS needs root and a test in a thread of its own (Netns), and mounts a BPF file
// system on /sys/fs/bpf that it and the programs that it starts see, and nobody else.
// It gives that path. What the test pins there ends with its thread.
func BPFFS(t testing.TB) string {
	t.Helper()
	const at = "/sys/fs/bpf"
	Root(t)
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("make a mount namespace: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	if err := unix.Mount("bpf", at, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755"); err != nil {
		t.Fatalf("mount a BPF file system: %v", err)
	}
	return at
}
