package kernel

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// BPFFS is where the BPF file system is mounted unless somebody chose otherwise
// (Documentation/bpf/maps.rst, systemd.mount(5)).
const BPFFS = "/sys/fs/bpf"

// BPFFileSystem tells whether a BPF file system is mounted on path; the error says how
// it is mounted where none is.
func BPFFileSystem(path string) error {
	var fs unix.Statfs_t
	err := unix.Statfs(path, &fs)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("look at %s: %w: run as root", path, err)
	}
	if err != nil || fs.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("find the BPF file system: none is mounted on %s: mount -t bpf bpf %s", path, path)
	}
	return nil
}
