package kernel_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// answerOf is set for a run of this test binary inside a namespace that some
// test prepared: it prints one probe's answer and ends.
const answerOf = "TCPVET_KERNEL_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(answerOf) == "" {
		os.Exit(m.Run())
	}
	err := kernel.UserNamespaces()
	switch {
	case err == nil:
		os.Stdout.WriteString("yes")
	case errors.Is(err, errors.ErrUnsupported):
		os.Stdout.WriteString("no: " + err.Error())
	default:
		os.Stdout.WriteString("could not tell: " + err.Error())
	}
}

func same(t *testing.T, what string, err error, want bool) {
	t.Helper()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("%s: could not tell: %v", what, err)
	}
	if (err == nil) != want {
		t.Errorf("%s: probe says %v, want %v", what, err, want)
	}
}

// unshare(1) is asked the same question.
func TestUserNamespaces(t *testing.T) {
	unshare := kerneltest.Tool(t, "unshare")
	same(t, "UserNamespaces", kernel.UserNamespaces(), exec.Command(unshare, "-Urn", "true").Run() == nil)
}

// Inside a user namespace its root may forbid more of them
// (/proc/sys/user/max_user_namespaces, namespaces(7)).
func TestUserNamespacesForbidden(t *testing.T) {
	kerneltest.UserNS(t)
	unshare := kerneltest.Tool(t, "unshare")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(unshare, "-Urn", "sh", "-c", `echo 0 > /proc/sys/user/max_user_namespaces && exec "$0"`, self)
	cmd.Env = append(os.Environ(), answerOf+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.HasPrefix(string(out), "no: ") || !strings.Contains(string(out), "no space left") {
		t.Errorf("got %q, want a no with ENOSPC", out)
	}
}

func TestRootNetNamespaces(t *testing.T) {
	kerneltest.Root(t)
	unshare := kerneltest.Tool(t, "unshare")
	same(t, "NetNamespaces", kernel.NetNamespaces(), exec.Command(unshare, "-n", "true").Run() == nil)
}

// Without CAP_SYS_ADMIN nobody can tell whether the kernel would.
func TestNetNamespacesUnprivileged(t *testing.T) {
	dropSysAdmin(t)
	err := kernel.NetNamespaces()
	if !errors.Is(err, unix.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want EPERM and neither yes nor no", err)
	}
}

// dropSysAdmin takes CAP_SYS_ADMIN from this thread alone, for the rest of the
// test.
func dropSysAdmin(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // the thread ends with the test
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&hdr, &caps[0]); err != nil {
		t.Fatal(err)
	}
	caps[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	caps[0].Permitted &^= 1 << unix.CAP_SYS_ADMIN
	if err := unix.Capset(&hdr, &caps[0]); err != nil {
		t.Fatal(err)
	}
}

// Another program's library lists sockets by the same interface.
func TestSockDiag(t *testing.T) {
	_, err := vnl.SocketDiagTCP(unix.AF_INET)
	same(t, "SockDiag", kernel.SockDiag(), err == nil)
	same(t, "SockDiagBothFamilies", kernel.SockDiagBothFamilies(), err == nil)
}

// kerneltest.Need compares a "no" with the kernel's release.
func TestBoundInactive(t *testing.T) {
	kerneltest.Need(t, kernel.BoundInactive)
}

// A host whose local ports are used up is asked as well.
func TestRootBoundInactiveWithoutPorts(t *testing.T) {
	kerneltest.Need(t, kernel.BoundInactive)
	kerneltest.Netns(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40001"), 0); err != nil {
		t.Fatal(err)
	}
	for port := 40000; port <= 40001; port++ {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
			t.Fatal(err)
		}
	}
	if err := kernel.BoundInactive(); err != nil {
		t.Error(err)
	}
}

func TestRootIPv6(t *testing.T) {
	kerneltest.Need(t, kernel.IPv6)
	kerneltest.Netns(t)
	same(t, "lo up", kernel.IPv6(), true)
	// /proc/sys/net shows the namespace of the thread that opens it.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	same(t, "IPv6 disabled", kernel.IPv6(), false)
}

// statfs(2) knows a cgroup 2 mount by its magic number.
func TestCgroupV2(t *testing.T) {
	kerneltest.Need(t, kernel.CgroupV2)
	path, err := kernel.CgroupV2Mount()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Errorf("%s: file system type %#x, want CGROUP2_SUPER_MAGIC %#x", path, st.Type, unix.CGROUP2_SUPER_MAGIC)
	}
}

// A probe leaves no descriptor and no child, dead or alive.
func TestProbesLeaveNothing(t *testing.T) {
	descriptors := func() string {
		dirs, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(len(dirs))
	}
	before := descriptors()
	for range 3 {
		for _, probe := range []func() error{kernel.UserNamespaces, kernel.NetNamespaces, kernel.SockDiag,
			kernel.SockDiagBothFamilies, kernel.SockDestroy, kernel.BoundInactive, kernel.IPv6, kernel.CgroupV2, kernel.BTF, kernel.BPFIterators,
			kernel.BPFMaps, kernel.BPFReadsMemory} {
			probe()
		}
	}
	if after := descriptors(); after != before {
		t.Errorf("%s descriptors before, %s after", before, after)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: pid %d, %v", pid, err)
	}
}
