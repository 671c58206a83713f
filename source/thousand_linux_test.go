package source_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
	"github.com/tcpvet/tcpvet/netns"
	"github.com/tcpvet/tcpvet/source"
	"github.com/tcpvet/tcpvet/source/bpfiter"
)

// thousandResult is what the part thousand found, by source.
type thousandResult map[string]spent

type spent struct {
	CPU, Wall float64 // s
	Spaces    int     // namespaces told, of those made
	Told      int     // of these, those told with their settings and addresses
	Sockets   uint64  // in those made
	Gaps      []string
}

const (
	manySpaces = 1000
	busyEach   = 20 // one in so many has sockets

	// A quiet machine takes less than a second of either. Where others use it
	// too, caches are cold, and the clock runs on while they have the CPU: it
	// only shows what hangs.
	mostCPU  = 2  // s
	mostWall = 60 // s
)

// A look at a thousand namespaces, a few with sockets, with all that diagnose
// asks for.
func TestRootThousandNamespaces(t *testing.T) {
	kerneltest.Root(t)
	var r thousandResult
	// The mounts end with the mount namespace, however the part ends.
	kerneltest.Play(t, "thousand", &r, func(c *exec.Cmd) {
		c.Dir = t.TempDir()
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	})
	if len(r) < 2 {
		t.Errorf("looked by %v", r)
	}
	for kind, s := range r {
		t.Logf("%s: %.2f s of CPU, %.2f s", kind, s.CPU, s.Wall)
		if s.CPU >= mostCPU || s.Wall >= mostWall {
			t.Errorf("%s: %.2f s of CPU and %.2f s, want under %d and %d", kind, s.CPU, s.Wall, mostCPU, mostWall)
		}
		const busy = manySpaces / busyEach
		if s.Spaces != manySpaces || s.Told != manySpaces || s.Sockets != 3*busy {
			t.Errorf("%s: %d namespaces, %d of them with settings, %d sockets; want %d, %d, %d", kind, s.Spaces, s.Told, s.Sockets, manySpaces, manySpaces, 3*busy)
		}
		if len(s.Gaps) > 0 {
			t.Errorf("%s: gaps %v", kind, s.Gaps)
		}
	}
}

// thousand makes namespaces below the working directory and looks at all.
func thousand() error {
	made, fds, err := makeNamespaces()
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	kinds := []string{"netlink", "procfs"}
	if bpfiter.Probe() == nil {
		kinds = append(kinds, "bpf")
	}
	r := make(thousandResult)
	for _, kind := range kinds {
		src, err := source.Open(kind)
		if err != nil {
			return err
		}
		for range 6 { // what a busy machine does to one try, it does not to each
			if r[kind], err = measure(src, made); err != nil {
				return err
			}
			if r[kind].CPU < mostCPU && r[kind].Wall < mostWall {
				break
			}
		}
	}
	return kerneltest.Say(r)
}

// makeNamespaces leaves the calling goroutine where it was.
func makeNamespaces() (made map[tcpvet.NetnsID]bool, fds []int, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, nil, fmt.Errorf("make mounts private: %w", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return nil, nil, fmt.Errorf("mount tmpfs: %w", err)
	}
	made = make(map[tcpvet.NetnsID]bool)
	result := make(chan error)
	go func() {
		lockForever()
		result <- func() error {
			for i := range manySpaces {
				if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
					return fmt.Errorf("make namespace: %w", err)
				}
				file := filepath.Join(dir, fmt.Sprintf("many%04d", i))
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					return err
				}
				if err := unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, ""); err != nil {
					return fmt.Errorf("bind namespace: %w", err)
				}
				id, err := netns.Self()
				if err != nil {
					return err
				}
				made[id] = true
				if i%busyEach != 0 {
					continue
				}
				open, err := connected()
				fds = append(fds, open...)
				if err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	return made, fds, <-result
}
