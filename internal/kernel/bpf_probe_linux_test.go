package kernel_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The kernel lists its functions in /proc/kallsyms too; addresses are hidden from
// ordinary users there, names are not.
func TestBPFIterators(t *testing.T) {
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Skip(kerneltest.LacksFeature+" /proc/kallsyms to compare with: ", err)
	}
	_, err = os.Stat("/sys/kernel/btf/vmlinux")
	want := err == nil
	if got := kernel.BTF() == nil; got != want {
		t.Errorf("BTF: %v, and the file: %v", kernel.BTF(), err)
	}
	for _, name := range []string{" bpf_iter_task_file\n", " bpf_iter_tcp\n", " bpf_sock_from_file\n"} {
		want = want && strings.Contains(string(symbols), name)
	}
	if err := kernel.BPFIterators(); (err == nil) != want || err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("probe says %v, /proc/kallsyms says %v", err, want)
	}
}

// What a thread gives up, the probes miss: first one capability, then the other.
func TestRootBPFCapabilities(t *testing.T) {
	kerneltest.Root(t)
	runtime.LockOSThread() // the thread ends with the test
	if missing, err := kernel.MissingCapabilities(); err != nil || missing != nil {
		t.Fatalf("root lacks %v, %v", missing, err)
	}
	if err := kernel.BPFMaps(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		drop []uint
		want string
		maps bool
	}{
		{[]uint{unix.CAP_SYS_ADMIN}, "", true},
		{[]uint{unix.CAP_PERFMON}, "CAP_PERFMON", true},
		{[]uint{unix.CAP_BPF}, "CAP_BPF CAP_PERFMON", false},
	} {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capget(&hdr, &caps[0]); err != nil {
			t.Fatal(err)
		}
		for _, n := range test.drop {
			caps[n/32].Effective &^= 1 << (n % 32)
			caps[n/32].Permitted &^= 1 << (n % 32)
		}
		if err := unix.Capset(&hdr, &caps[0]); err != nil {
			t.Fatal(err)
		}
		missing, err := kernel.MissingCapabilities()
		if err != nil || strings.Join(missing, " ") != test.want {
			t.Errorf("missing %v, %v, want %q", missing, err, test.want)
		}
		err = kernel.BPFMaps()
		if test.maps && err != nil || !test.maps && (!errors.Is(err, unix.EPERM) || errors.Is(err, errors.ErrUnsupported)) {
			t.Errorf("without %v: %v, want success to be %v, and neither yes nor no otherwise", test.drop, err, test.maps)
		}
	}
}
