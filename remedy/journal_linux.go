package remedy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockPatience is how long another process may hold the journal, which it does for as
// long as one write takes; turnPatience how long it may apply a plan; mostRemoved how
// often its folder may be removed while it waits.
const (
	lockPatience = 10 * time.Second
	turnPatience = time.Minute
	mostRemoved  = 100
)

// open opens the journal to read it, or makes it and opens it to write. It refuses
// what others could have written or could write. The caller closes it.
func (j *Journal) open(write bool) (*os.File, error) {
	dir := j.dir()
	if write {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open journal: %w%s", err, j.hint(err))
		}
	}
	fd, err := j.openTrusted(dir)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	path := filepath.Join(dir, journalFile)
	flags, made := unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, false
	if write {
		flags |= unix.O_RDWR | unix.O_APPEND
	}
	file, err := unix.Openat(fd, journalFile, flags, 0)
	if write && err == unix.ENOENT {
		made = true
		file, err = unix.Openat(fd, journalFile, flags|unix.O_CREAT, 0o600)
	}
	if err == unix.ELOOP {
		return nil, fmt.Errorf("open journal %s: it is a symbolic link: remove it, or name another folder with --journal", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w%s", &fs.PathError{Op: "open", Path: path, Err: err}, j.hint(err))
	}
	f := os.NewFile(uintptr(file), path)
	if err := trust(file, path, unix.S_IFREG); err != nil {
		f.Close()
		return nil, err
	}
	if made {
		if err := unix.Fsync(fd); err != nil {
			f.Close()
			return nil, fmt.Errorf("open journal: sync %s: %w", dir, err)
		}
	}
	return f, nil
}

// openTrusted opens a folder into which, and into the folders above which, nobody
// else can write.
func (j *Journal) openTrusted(dir string) (int, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return 0, fmt.Errorf("open journal: %w", err)
	}
	above, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return 0, fmt.Errorf("open journal: %w%s", err, j.hint(err))
	}
	path := filepath.Join(above, filepath.Base(abs))
	for folder := above; ; folder = filepath.Dir(folder) {
		if err := trustPath(folder); err != nil {
			return 0, err
		}
		if folder == filepath.Dir(folder) {
			break
		}
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	var st unix.Stat_t
	if err == unix.ENOTDIR && unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return 0, fmt.Errorf("open journal: the folder %s is a symbolic link: name the folder itself with --journal", dir)
	}
	if err != nil {
		return 0, fmt.Errorf("open journal: %w%s", &fs.PathError{Op: "open", Path: dir, Err: err}, j.hint(err))
	}
	if err := trust(fd, dir, unix.S_IFDIR); err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// trustPath refuses a folder above the journal in which others can put another one
// in its place. In one with the sticky bit they cannot.
func trustPath(folder string) error {
	var st unix.Stat_t
	if err := unix.Stat(folder, &st); err != nil {
		return fmt.Errorf("open journal: %w", &fs.PathError{Op: "stat", Path: folder, Err: err})
	}
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return writable(folder, st.Mode)
	}
	if st.Uid != 0 && st.Uid != uint32(unix.Geteuid()) && !unmapped(st.Uid) {
		return fmt.Errorf("open journal: %s belongs to user %d: name a folder with --journal of which all parts are root's or yours", folder, st.Uid)
	}
	return nil
}

// trust refuses what is not of this type, not one's own, or writable by others.
func trust(fd int, path string, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("open journal: %w", &fs.PathError{Op: "stat", Path: path, Err: err})
	}
	switch {
	case st.Mode&unix.S_IFMT != kind:
		return fmt.Errorf("open journal %s: it is no regular file: remove it, or name another folder with --journal", path)
	case st.Uid != uint32(unix.Geteuid()) && unix.Geteuid() != 0 || st.Uid != 0 && unix.Geteuid() == 0:
		return fmt.Errorf("open journal: %s belongs to user %d, not to user %d who runs this: name another folder with --journal", path, st.Uid, unix.Geteuid())
	case st.Mode&0o022 != 0:
		return writable(path, st.Mode)
	case kind == unix.S_IFREG && st.Nlink > 1:
		return fmt.Errorf("open journal %s: it has %d names: others may reach it by another one; name another folder with --journal", path, st.Nlink)
	}
	return nil
}

func writable(path string, mode uint32) error {
	return fmt.Errorf("open journal: others may write %s (mode %04o): chmod go-w %s, or name another folder with --journal", path, mode&0o7777, path)
}

// unmapped tells whether a UID stands for those that the user namespace has no
// number for: it is nobody's there.
func unmapped(uid uint32) bool {
	const overflow = 65534 // the default of kernel.overflowuid
	if uid != overflow {
		return false
	}
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, n uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &n); err != nil || inside <= overflow && overflow-inside < n {
			return false
		}
	}
	return true
}

// hint says what to do about an error of a file.
func (j *Journal) hint(err error) string {
	dir := j.dir()
	elsewhere := "name another folder with --journal"
	if j.holds {
		elsewhere = "copy " + journalFile + " to another folder and name that with --journal"
	}
	switch {
	case errors.Is(err, fs.ErrPermission) && unix.Geteuid() != 0:
		return "; needs root, or a folder of your own with --journal"
	case errors.Is(err, unix.ENOTDIR):
		return "; a file is in its way: name a folder with --journal"
	case errors.Is(err, unix.EROFS):
		if j.holds {
			return "; " + elsewhere
		}
		return "; name a folder that can be written with --journal"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "; make room in " + dir + ", or " + elsewhere
	}
	return ""
}

// turn waits until no other process applies a plan by this journal: what is read and
// written down first is what is there then. done lets the next one go on. Where there is
// no such folder, who writes to it says so.
func (j *Journal) turn(ctx context.Context) (done func(), err error) {
	for removed := 0; ; removed++ {
		_, made := os.Stat(j.dir())
		if os.MkdirAll(j.dir(), 0o700) != nil {
			return func() {}, nil
		}
		fd, err := j.openTrusted(j.dir())
		if errors.Is(err, fs.ErrNotExist) && removed < mostRemoved {
			continue // its turn over, another process has just removed it
		}
		if err != nil {
			return func() {}, nil
		}
		f := os.NewFile(uintptr(fd), j.dir())
		if err := lock(ctx, f, turnPatience); err != nil {
			f.Close()
			return nil, err
		}
		if !isAt(f, j.dir()) && removed < mostRemoved {
			f.Close() // the lock of a folder that was removed keeps nobody out
			continue
		}
		return func() {
			if made != nil {
				os.Remove(j.dir()) // where nothing was written down
			}
			f.Close() // it unlocks as well
		}, nil
	}
}

func isAt(f *os.File, path string) bool {
	its, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(its, there)
}

// lock takes the journal for one writer, or its folder for one plan.
func lock(ctx context.Context, f *os.File, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
		case err != unix.EWOULDBLOCK:
			return fmt.Errorf("lock journal %s: %w", f.Name(), err)
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("lock journal %s: another process has held it for %v: see who with fuser %s", f.Name(), patience, f.Name())
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// add appends whole lines, all of them or none, and waits until the disk has them
// where that is asked for.
func (j *Journal) add(ctx context.Context, lines []byte, sync bool) error {
	f, err := j.open(true)
	if err != nil {
		return err
	}
	defer f.Close() // it unlocks as well
	if err := lock(ctx, f, lockPatience); err != nil {
		return err
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return fmt.Errorf("write journal: read its end: %w", err)
		}
		if last[0] != '\n' { // a torn line of another writer stays a line of its own
			lines = append([]byte{'\n'}, lines...)
		}
	}
	_, err = f.Write(lines)
	if err == nil && sync {
		err = f.Sync()
	}
	if err != nil {
		// What was begun is of no use, and takes what room there is. Where it
		// cannot be taken back (chattr +a) a reader passes over it.
		f.Truncate(size)
		return fmt.Errorf("write journal: %w%s", err, j.hint(err))
	}
	return nil
}
