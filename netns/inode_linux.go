package netns

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/tcpvet/tcpvet"
	"golang.org/x/sys/unix"
)

// Self gives the network namespace of the calling thread.
func Self() (tcpvet.NetnsID, error) {
	id, err := linked("/proc/thread-self/ns/net")
	if err != nil {
		return 0, fmt.Errorf("read own network namespace: %w; is procfs mounted on /proc?", err)
	}
	return id, nil
}

// linked reads the text of a link in /proc/PID/ns.
func linked(path string) (tcpvet.NetnsID, error) {
	var buf [64]byte
	n, err := unix.Readlink(path, buf[:])
	if err != nil {
		return 0, err
	}
	id, ok := ParseID(string(buf[:n]))
	if !ok {
		return 0, fmt.Errorf("read %s: %q is no network namespace", path, buf[:n])
	}
	return id, nil
}

// threadOf looks at the first thread of a process that has a namespace, for
// where the main thread has none any more.
func threadOf(root, process string) (path string, id tcpvet.NetnsID, err error) {
	dir := root + "/" + process + "/task"
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return "", 0, unix.ENOENT
	}
	for _, t := range tasks {
		if t.Name() == process {
			continue
		}
		path = dir + "/" + t.Name() + "/ns/net"
		if id, err = linked(path); !errors.Is(err, unix.ENOENT) {
			return path, id, err
		}
	}
	return "", 0, unix.ENOENT
}

// ofProcess gives the namespace of a process's main thread, or of another one
// if that has exited.
func ofProcess(pid int) (tcpvet.NetnsID, error) {
	name := strconv.Itoa(pid)
	id, err := linked("/proc/" + name + "/ns/net")
	if errors.Is(err, unix.ENOENT) {
		_, id, err = threadOf("/proc", name)
	}
	if err != nil {
		return 0, classify(err)
	}
	return id, nil
}

// ofFile gives the network namespace that a file is.
func ofFile(path string) (tcpvet.NetnsID, error) {
	fd, err := openNsfs(path)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return ofDescriptor(fd)
}

// openNsfs opens a file if it is a namespace, and nothing else: a FIFO or a
// device would answer to being opened.
func openNsfs(path string) (int, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return -1, err
	}
	if fs.Type != unix.NSFS_MAGIC {
		return -1, unix.ENOENT // unmounted, and the file below it was left
	}
	return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
}

// ofDescriptor gives the network namespace that a descriptor of nsfs is.
func ofDescriptor(fd int) (tcpvet.NetnsID, error) {
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE) // ioctl_nsfs.2
	if err != nil {
		return 0, err
	}
	if kind != unix.CLONE_NEWNET {
		return 0, errors.New("it is a namespace of another kind")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return tcpvet.NetnsID(st.Ino), nil
}
