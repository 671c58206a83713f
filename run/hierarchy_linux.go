package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/source/procfs"
)

// needsHierarchy is what a MissingError calls it.
const needsHierarchy = "a mounted cgroup 2 hierarchy (ip netns exec hides it, nsenter --net=/run/netns/NAME does not)"

// hierarchy is a cgroup 2 mount of another process.
type hierarchy struct {
	dir  *os.File // held open: it lasts however soon that process ends
	root string   // the group that it begins at
}

// at gives the path of a group in the hierarchy as this process can open it.
func (h *hierarchy) at(group string) (path string, ok bool) {
	below, ok := within(h.root, group)
	return filepath.Join(fmt.Sprintf("/proc/self/fd/%d", h.dir.Fd()), below), ok
}

// above gives the hierarchy as a process above this one sees it, nil where none does: ip
// netns exec mounts another /sys, without cgroups, for what it runs. To make a mount is
// no way: its options hold for the whole host, so that it would take away those that are
// set (Documentation/admin-guide/cgroup-v2.rst, "Mounting").
var above = sync.OnceValue(func() *hierarchy {
	for pid := range lineage(os.Getppid()) {
		if h := hierarchyOf(pid); h != nil {
			return h
		}
	}
	return nil
})

// hierarchyOf opens the first cgroup 2 mount of a process that it can, nil for none.
func hierarchyOf(pid int) (h *hierarchy) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil
	}
	defer f.Close()
	_ = procfs.ReadMounts(f, func(m *procfs.Mount) bool {
		if !m.Is("cgroup2") {
			return true
		}
		dir, err := os.Open(fmt.Sprintf("/proc/%d/root%s", pid, m.Point()))
		if err != nil {
			return true
		}
		var fs unix.Statfs_t
		if unix.Fstatfs(int(dir.Fd()), &fs) != nil || !isHierarchy(&fs) {
			dir.Close()
			return true
		}
		h = &hierarchy{dir, m.Root()}
		return false
	})
	return h
}

func isHierarchy(fs *unix.Statfs_t) bool { return fs.Type == unix.CGROUP2_SUPER_MAGIC }

// probeHierarchy tells whether the hierarchy can be reached: an error that is
// errors.ErrUnsupported where not.
func probeHierarchy() error {
	err := kernel.CgroupV2()
	if errors.Is(err, errors.ErrUnsupported) && above() != nil {
		return nil
	}
	return err
}

// reach gives the path at which this process can open a group, which is called by its
// path in the hierarchy where no mount of this process shows it.
func reach(path string) string {
	if !errors.Is(kernel.CgroupV2(), errors.ErrUnsupported) {
		return path
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && isHierarchy(&fs) { // one may give it below /proc/PID/root
		return path
	}
	if h := above(); h != nil {
		if at, ok := h.at(path); ok {
			return at
		}
	}
	return path
}
