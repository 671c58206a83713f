package owner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is where the BPF file system is mounted unless somebody chose otherwise
// (Documentation/bpf/maps.rst, systemd.mount(5)).
const Root = "/sys/fs/bpf"

const (
	folder = "tcpvet"
	prefix = "owners-"
	table  = "table"
)

// pin is a folder of the BPF file system that one Keeper has, locked.
type pin struct {
	path string
	dir  *os.File
}

// newPin makes a folder below root, and removes those whose Keepers are dead.
func newPin(root string) (*pin, error) {
	if err := isBPFFS(root); err != nil {
		return nil, err
	}
	parent := filepath.Join(root, folder)
	const tries = 16 // each is lost to another Keeper that begins or ends now
	for range tries {
		if err := os.Mkdir(parent, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("make %s: %w%s", parent, reason(err), hint(err))
		}
		p, err := lockNew(parent)
		if err != nil {
			return nil, err
		}
		if p != nil {
			removeDead(parent)
			return p, nil
		}
	}
	return nil, fmt.Errorf("make a folder in %s: others removed it %d times; try again", parent, tries)
}

// lockNew makes a folder and locks it, nil where somebody removed it before.
func lockNew(parent string) (*pin, error) {
	path, err := os.MkdirTemp(parent, prefix)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("make a folder in %s: %w%s", parent, reason(err), hint(err))
	}
	dir, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, reason(err))
	}
	// A reader may hold it for a moment.
	if err := flock(dir, unix.LOCK_EX); err != nil {
		dir.Close()
		os.Remove(path)
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil || st.Nlink == 0 {
		dir.Close()
		return nil, nil
	}
	return &pin{path, dir}, nil
}

// table is the path of what is pinned.
func (p *pin) table() string { return filepath.Join(p.path, table) }

// remove removes the folder, and the one above where it was the last.
func (p *pin) remove() error {
	defer p.dir.Close()
	err := removeFolder(p.path)
	os.Remove(filepath.Dir(p.path)) // not where there are others
	return err
}

func removeFolder(path string) error {
	if err := os.Remove(filepath.Join(path, table)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// removeDead removes the folders of Keepers that have died. What cannot be removed
// harms nobody.
func removeDead(parent string) {
	for _, path := range folders(parent) {
		if !alive(path) {
			_ = removeFolder(path)
		}
	}
}

// folders lists those of all Keepers, dead ones too; none where parent is not there or
// not for this user to read.
func folders(parent string) []string {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil
	}
	var paths []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			paths = append(paths, filepath.Join(parent, e.Name()))
		}
	}
	return paths
}

// alive tells whether the Keeper of a folder lives: nobody else locks it so.
func alive(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	return errors.Is(flock(dir, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func isBPFFS(root string) error {
	var fs unix.Statfs_t
	err := unix.Statfs(root, &fs)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("look at %s: %w%s", root, err, hint(err))
	}
	if err != nil || fs.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("find the BPF file system: none is mounted on %s: mount -t bpf bpf %s", root, root)
	}
	return nil
}

// reason is the kernel's word without the path, which the message has.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// hint says what would help.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return ": it has to be mounted for writing"
	case errors.Is(err, os.ErrPermission):
		return ": run as root"
	}
	return ""
}
