package procfs

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Sysctls reads the settings of the calling thread's network namespace, by
// dotted name. Lock the thread if it has entered another namespace. Numbers
// that stand in one file are separated by one blank.
//
// A setting that the kernel does not have is missing. If others could not be
// read, they are missing too, and the error tells of the first; the map holds
// the rest.
func (fs FS) Sysctls() (map[string]string, error) { return fs.sysctls(settings) }

// PortSysctls is Sysctls of those alone that PortsOf reads.
func (fs FS) PortSysctls() (map[string]string, error) { return fs.sysctls(portSettings) }

func (fs FS) sysctls(settings []string) (map[string]string, error) {
	root, err := openRoot(filepath.Join(fs.root(), "sys"))
	if err != nil {
		return nil, fmt.Errorf("read settings: open %s/sys: %w", fs.root(), err)
	}
	defer root.close()
	values := make(map[string]string, len(settings))
	var failed error
	note := func(name string, err error) {
		if failed == nil && err != unix.ENOENT && err != unix.ENOTDIR {
			failed = fmt.Errorf("read setting %s: %w", dotted(name), err)
		}
	}
	// Every namespace has an entry net/ipv4 of its own, and all of them stand
	// in one chain of the kernel's cache of names (proc_sys_compare in
	// fs/proc/proc_sysctl.c). With a thousand namespaces walking it takes
	// thirty times as long as opening a file, so that it is done once a
	// folder, not once a setting.
	var at dir
	opened := "" // the folder that at is
	defer func() {
		if opened != "" {
			at.close()
		}
	}()
	buf := make([]byte, 4096)
	for _, name := range settings {
		folder := name[:strings.IndexByte(name[len("net/"):], '/')+len("net/")]
		if folder != opened {
			next, err := openDir(root, folder)
			if err != nil {
				note(name, err)
				continue
			}
			if opened != "" {
				at.close()
			}
			at, opened = next, folder
		}
		b, err := readSetting(at, name[len(folder)+1:], buf)
		if err != nil {
			note(name, err)
			continue
		}
		values[dotted(name)] = strings.Join(strings.Fields(string(b)), " ")
	}
	return values, failed
}

// readSetting reads a file below /proc/sys at one go: the kernel cuts a list of
// ports to the buffer and gives no more at the next read
// (proc_do_large_bitmap in kernel/sysctl.c).
func readSetting(at dir, name string, buf []byte) ([]byte, error) {
	const longest = 256 << 10 // every second port reserved: 32,768 times 6 bytes
	for {
		fd, err := openat(at.fd, name, unix.O_RDONLY|unix.O_CLOEXEC)
		if err != nil {
			return nil, err
		}
		n, err := unix.Read(fd, buf)
		unix.Close(fd)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n < len(buf) {
			return buf[:n], nil
		}
		if len(buf) >= longest {
			return nil, unix.EFBIG
		}
		buf = make([]byte, longest)
	}
}

// dotted gives a setting's name as sysctl(8) writes it.
func dotted(name string) string { return strings.ReplaceAll(name, "/", ".") }
