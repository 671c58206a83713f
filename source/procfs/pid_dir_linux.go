package procfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dir is an open directory of procfs. One of a process goes on meaning that
// process when its PID is used again: reads then fail with ESRCH.
type dir struct{ fd int }

func openDir(at dir, name string) (dir, error) {
	fd, err := openat(at.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	return dir{fd}, err
}

func openRoot(path string) (dir, error) { return openDir(dir{unix.AT_FDCWD}, path) }

func (d dir) close() { unix.Close(d.fd) }

// read fills buf from a file, from its begin. A file that does not fit is cut.
func (d dir) read(name string, buf []byte) ([]byte, error) {
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return buf[:n], nil
}

// open opens a file.
func (d dir) open(name string) (*os.File, error) {
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// readlink gives the text of a link, cut to the size of buf.
func (d dir) readlink(name string, buf []byte) ([]byte, error) {
	n, err := unix.Readlinkat(d.fd, name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// names calls yield for each entry but . and .., using buf; it ends early when
// yield returns false. A NUL follows the name in memory.
func (d dir) names(buf []byte, yield func(name []byte) bool) error {
	for {
		n, err := unix.Getdents(d.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		for rest := buf[:n]; len(rest) > 0; {
			name, size := direntry(rest)
			if size == 0 {
				return errors.New("read directory: cut entry")
			}
			rest = rest[size:]
			if string(name) == "." || string(name) == ".." {
				continue
			}
			if !yield(name) {
				return nil
			}
		}
	}
}

// direntry reads a struct linux_dirent64 (getdents64.2): a name and the size
// of the whole, 0 if it is cut.
func direntry(b []byte) (name []byte, size int) {
	const (
		reclen = 16 // after inode and offset
		text   = 19 // after the length and the type
	)
	if len(b) <= text {
		return nil, 0
	}
	size = int(binary.NativeEndian.Uint16(b[reclen:]))
	if size <= text || size > len(b) {
		return nil, 0
	}
	end := bytes.IndexByte(b[text:size], 0)
	if end < 0 {
		return nil, 0
	}
	return b[text : text+end], size
}

// readlinkNUL is readlink for a name that a NUL follows, as names gives it. It
// allocates nothing. The call never waits for a file system, as a stat of the
// link's target may on a dead NFS server.
func (d dir) readlinkNUL(name, buf []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_READLINKAT, uintptr(d.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(name))),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), 0, 0)
	return int(n), errno
}

func openat(at int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// gone tells whether an error says that the process has ended meanwhile.
func gone(err error) bool { return err == unix.ENOENT || err == unix.ESRCH }

// denied tells whether an error says that one may not look.
func denied(err error) bool { return err == unix.EACCES || err == unix.EPERM }
