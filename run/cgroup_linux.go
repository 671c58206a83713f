package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet/source/procfs"
)

// cgroup is a group of the cgroup 2 hierarchy, held by a descriptor.
type cgroup struct {
	path string // of its folder, or in the hierarchy: see reach
	at   string // where this process reaches it
	id   uint64 // which the kernel knows it by: the inode of the folder
	dir  *os.File
}

func openCgroup(path string) (*cgroup, error) {
	at := reach(path)
	dir, err := os.Open(at)
	if err != nil {
		return nil, fmt.Errorf("open cgroup %s: %w", path, reason(err))
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil || !isHierarchy(&fs) {
		dir.Close()
		return nil, fmt.Errorf("open cgroup %s: it is no folder of a cgroup 2 hierarchy", path)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		dir.Close()
		return nil, fmt.Errorf("open cgroup %s: %w", path, err)
	}
	return &cgroup{path: path, at: at, id: st.Ino, dir: dir}, nil
}

// read reads a file of the group.
func (g *cgroup) read(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(g.at, name))
	if err != nil {
		return nil, fmt.Errorf("read %s of cgroup %s: %w", name, g.path, reason(err))
	}
	return b, nil
}

// populated tells whether a process is in the group or below it.
func (g *cgroup) populated() (bool, error) {
	b, err := g.read("cgroup.events")
	return strings.Contains(string(b), "populated 1"), err
}

// members gives the processes in the group and below it, by their PIDs in this
// process's namespace; one of PID 0 stands for those that have none there.
func (g *cgroup) members() ([]Member, error) {
	var all []Member
	// With a slash at the end a link is followed.
	err := filepath.WalkDir(g.at+"/", func(path string, d os.DirEntry, err error) error {
		called := filepath.Join(g.path, strings.TrimPrefix(path, g.at))
		if errors.Is(err, os.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if err != nil {
			return fmt.Errorf("read cgroup %s: %w", called, reason(err))
		}
		if !d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV):
			return filepath.SkipDir
		case errors.Is(err, unix.EOPNOTSUPP):
			return nil // of threads: their processes show above
		case err != nil:
			return fmt.Errorf("read cgroup.procs of cgroup %s: %w", called, reason(err))
		}
		for field := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && pid >= 0 {
				all = append(all, memberOf(pid))
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Member) int { return a.PID - b.PID })
	return slices.Compact(all), err
}

// Member is a process of a cgroup.
type Member struct {
	PID  int    // 0 where it is not known
	Comm string // "" where it is not known
}

func memberOf(pid int) Member {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return Member{pid, strings.TrimSuffix(string(comm), "\n")}
}

// String gives the process as people read it: "nginx[812]".
func (m Member) String() string {
	switch {
	case m.PID == 0 && m.Comm == "":
		return "a process"
	case m.PID == 0:
		return m.Comm
	case m.Comm == "":
		return fmt.Sprintf("process %d", m.PID)
	}
	return fmt.Sprintf("%s[%d]", m.Comm, m.PID)
}

// cgroupPathOf gives the folder of the cgroup 2 group that a process is in ("self" or
// a PID), where this process sees it; its path in the hierarchy where it sees none.
func cgroupPathOf(process string) (string, error) {
	b, err := os.ReadFile("/proc/" + process + "/cgroup")
	if err != nil {
		return "", fmt.Errorf("read the cgroup of process %s: %w", process, reason(err))
	}
	in, ok := cgroup2Line(string(b))
	if !ok {
		return "", fmt.Errorf("read the cgroup of process %s: it is in no cgroup 2 group", process)
	}
	if strings.HasSuffix(in, " (deleted)") {
		return "", fmt.Errorf("read the cgroup of process %s: %s was removed", process, strings.TrimSuffix(in, " (deleted)"))
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find the cgroup 2 hierarchy: %w", err)
	}
	defer f.Close()
	found, mounts := "", 0
	err = procfs.ReadMounts(f, func(m *procfs.Mount) bool {
		if !m.Is("cgroup2") {
			return true
		}
		mounts++
		below, ok := within(m.Root(), in)
		if !ok {
			return true
		}
		path := filepath.Join(m.Point(), below)
		if isFolder(path) {
			found = path
		}
		return found == ""
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("find the cgroup 2 hierarchy: read /proc/self/mountinfo: %w", err)
	case mounts == 0 && above() == nil:
		return "", &MissingError{Needs: []string{needsHierarchy}}
	case mounts == 0:
		if at, ok := above().at(in); ok && isFolder(at) {
			return in, nil
		}
		fallthrough
	case found == "":
		return "", fmt.Errorf("find cgroup %s of process %s: no cgroup 2 mount shows it: run tcpvet where the host's /sys/fs/cgroup is", in, process)
	}
	return found, nil
}

func isFolder(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// cgroup2Line gives the path in the line "0::/path" of a /proc/PID/cgroup file
// (cgroups(7)).
func cgroup2Line(text string) (path string, ok bool) {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok && strings.HasPrefix(path, "/") {
			return path, true
		}
	}
	return "", false
}

// within gives path as seen below root, which a mount begins at.
func within(root, path string) (below string, ok bool) {
	if path == "/.." || strings.HasPrefix(path, "/../") {
		return "", false // above the reader's cgroup namespace
	}
	if root == "/" {
		return path, true
	}
	below, ok = strings.CutPrefix(path, root)
	return below, ok && (below == "" || below[0] == '/')
}

// reason is the kernel's word without the path, which the message has.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
