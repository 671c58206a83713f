package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// prefix begins the names of the groups of commands.
const prefix = "tcpvet-run-"

// newGroup makes a group below that of this process, and removes those that runs before
// have left behind. It is locked as long as its descriptor is open.
func newGroup() (*cgroup, error) {
	parent, err := cgroupPathOf("self")
	if err != nil {
		return nil, err
	}
	return newGroupIn(parent)
}

func newGroupIn(parent string) (*cgroup, error) {
	at := reach(parent)
	sweep(at)
	const tries = 16 // each is lost to another run's sweep
	for range tries {
		made, err := os.MkdirTemp(at, prefix)
		if err != nil {
			return nil, fmt.Errorf("make a cgroup in %s: %w%s", parent, reason(err), mkdirHint(err))
		}
		path := filepath.Join(parent, filepath.Base(made))
		g, err := openCgroup(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, os.Remove(made))
		}
		if err := flock(g.dir, unix.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock cgroup %s: %w", path, err), g.dir.Close(), os.Remove(made))
		}
		if isFolder(made) && domain(g) == nil {
			return g, nil
		}
		err = domain(g)
		g.dir.Close()
		if err != nil {
			return nil, errors.Join(err, os.Remove(made))
		}
	}
	return nil, fmt.Errorf("make a cgroup in %s: others removed it %d times: try again", parent, tries)
}

// domain tells whether processes may be put into the group. Below a threaded one they
// may not (Documentation/admin-guide/cgroup-v2.rst, "Threads").
func domain(g *cgroup) error {
	b, err := g.read("cgroup.type")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && string(b) == "domain invalid\n" {
		err = fmt.Errorf("make cgroup %s: the group above it is threaded, and holds no other processes: run tcpvet in a group that is not", g.path)
	}
	return err
}

func mkdirHint(err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return ": it has to be mounted for writing"
	case errors.Is(err, os.ErrPermission):
		return ": run as root, or in a cgroup that was delegated to you"
	case errors.Is(err, unix.EAGAIN):
		return ": cgroup.max.descendants or cgroup.max.depth allows no more"
	}
	return ""
}

// sweep removes empty groups whose tcpvet has ended before them. Those with processes
// stay: the kernel removes none of these.
func sweep(parent string) {
	left, err := filepath.Glob(filepath.Join(escapeGlob(parent), prefix+"*"))
	if err != nil {
		return
	}
	for _, path := range left {
		dir, err := os.Open(path)
		if err != nil {
			continue
		}
		if flock(dir, unix.LOCK_SH|unix.LOCK_NB) == nil {
			g := &cgroup{path: path, at: path}
			if lived, err := g.populated(); err == nil && !lived {
				_ = removeTree(path) // what cannot be removed harms nobody
			}
		}
		dir.Close()
	}
}

func escapeGlob(path string) string {
	var b []byte
	for _, c := range []byte(path) {
		if c == '*' || c == '?' || c == '[' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return string(b)
}

// removeTree removes a group and what the command made below it, if all are empty.
func removeTree(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(path)
}

// remove ends the group where nobody is in it any more. A process that has ended may
// stand in it for a moment yet.
func (g *cgroup) remove() (removed bool, err error) {
	const patience, pause = 2 * time.Second, 2 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		lived, err := g.populated()
		if err == nil && !lived {
			err = removeTree(g.at)
			if err == nil {
				return true, nil
			}
		}
		switch {
		case errors.Is(err, os.ErrNotExist):
			return true, nil
		case err != nil && !errors.Is(err, unix.EBUSY):
			return false, fmt.Errorf("remove cgroup %s: %w", g.path, reason(err))
		case time.Now().After(deadline):
			return false, nil
		}
		if members, err := g.members(); err != nil || len(members) > 0 {
			return false, err
		}
	}
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
