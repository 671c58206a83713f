package kernel_test

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The kernel lists its functions in /proc/kallsyms too.
func TestBPFCgroupLinks(t *testing.T) {
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Skip(kerneltest.LacksFeature+" /proc/kallsyms to compare with: ", err)
	}
	_, err = os.Stat("/sys/kernel/btf/vmlinux")
	want := err == nil && strings.Contains(string(symbols), " __cgroup_bpf_run_filter_sock_ops\n")
	if err := kernel.BPFCgroupLinks(); (err == nil) != want || err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("probe says %v, /proc/kallsyms says %v", err, want)
	}
}

// /proc says which capabilities a thread has in effect (proc_pid_status(5)).
func TestHasCapability(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "CapEff:\t")
	mask, err := strconv.ParseUint(rest[:16], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint(0); n <= unix.CAP_LAST_CAP; n++ {
		if got, err := kernel.HasCapability(n); err != nil || got != (mask>>n&1 != 0) {
			t.Errorf("capability %d: %v, %v, and the mask is %#x", n, got, err, mask)
		}
	}
}

func TestBPFFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := kernel.BPFFileSystem(dir); err == nil || !strings.Contains(err.Error(), "mount -t bpf bpf "+dir) {
		t.Errorf("an ordinary folder: %v", err)
	}
	if err := kernel.BPFFileSystem(dir + "/none"); err == nil || !strings.Contains(err.Error(), "none is mounted") {
		t.Errorf("no folder: %v", err)
	}
}

func TestRootBPFFileSystem(t *testing.T) {
	kerneltest.Netns(t)
	if err := kernel.BPFFileSystem(kerneltest.BPFFS(t)); err != nil {
		t.Error(err)
	}
}
