package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// The numbers are those that a mounted tracefs shows, and nothing is mounted for it.
func TestRootTracepointIDs(t *testing.T) {
	kerneltest.Root(t)
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"sys_exit_connect", "sys_exit_bind", "sys_enter_connect"}
	ids, err := kernel.TracepointIDs("syscalls", names...)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || string(after) != string(before) {
		t.Errorf("mounts were\n%s and are, %v,\n%s", before, err, after)
	}
	script := "{ grep -q ' /sys/kernel/tracing tracefs ' /proc/mounts || mount -t tracefs tracefs /sys/kernel/tracing; } && cd /sys/kernel/tracing/events/syscalls"
	for _, name := range names {
		script += " && cat " + name + "/id"
	}
	out, err := exec.Command(kerneltest.Tool(t, "unshare"), "-m", "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	if got, want := strings.Trim(fmt.Sprint(ids), "[]"), strings.Join(strings.Fields(string(out)), " "); got != want {
		t.Errorf("got %s, tracefs shows %s", got, want)
	}
}

// debugfsAlone gives the thread, which ends with the test, mounts of its own, with debugfs
// and without tracefs.
func debugfsAlone(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // and never unlock
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for unix.Unmount("/sys/kernel/tracing", unix.MNT_DETACH) == nil {
	}
	if err := unix.Mount("debugfs", "/sys/kernel/debug", "debugfs", 0, ""); err != nil {
		t.Fatal(err)
	}
}

// Where debugfs alone is mounted, its place for tracefs is not looked into: that would
// mount one there.
func TestRootTracepointIDsMountsNothing(t *testing.T) {
	kerneltest.Root(t)
	want, err := kernel.TracepointIDs("syscalls", "sys_exit_connect")
	if err != nil {
		t.Fatal(err)
	}
	debugfsAlone(t)
	mounts := func() string {
		b, err := os.ReadFile("/proc/thread-self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := mounts()
	got, err := kernel.TracepointIDs("syscalls", "sys_exit_connect")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if after := mounts(); after != before {
		t.Errorf("mounts were\n%s and are\n%s", before, after)
	}
}

func TestRootTracepointIDsUnknown(t *testing.T) {
	kerneltest.Root(t)
	if ids, err := kernel.TracepointIDs("syscalls", "sys_exit_connect", "sys_exit_teleport"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a tracepoint that is not there: %v, %v", ids, err)
	}
}

// Without the privilege the error is that of the kernel, not a "no": of making an
// instance of tracefs, or of the debugfs that was tried last, which is root's alone.
func TestRootTracepointIDsForbidden(t *testing.T) {
	kerneltest.Root(t)
	runtime.LockOSThread() // and never unlock: the thread ends with the test
	becomeNobody(t)
	want := unix.EPERM
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), " /sys/kernel/debug ") {
		want = unix.EACCES
	}
	if _, err := kernel.TracepointIDs("syscalls", "sys_exit_connect"); !errors.Is(err, want) || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("as nobody: %v, want %v", err, want)
	}
}

// Debugfs is root's alone, and the error names the file that may not be read.
func TestRootTracepointIDsForbiddenDebugfs(t *testing.T) {
	kerneltest.Root(t)
	debugfsAlone(t)
	becomeNobody(t)
	if _, err := kernel.TracepointIDs("syscalls", "sys_exit_connect"); !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "/sys/kernel/debug/tracing/events/syscalls/sys_exit_connect/id") {
		t.Errorf("as nobody: %v", err)
	}
}

// becomeNobody makes the thread another user's. The capabilities go with it.
func becomeNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	// The call itself, for this thread alone.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
		t.Fatal(errno)
	}
}
