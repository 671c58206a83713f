package procfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
)

// sysctlFolders hold files of settings, in the order of their rank: of two files
// with one name that of the first folder is read alone (sysctl.8, SYSTEM FILE
// PRECEDENCE).
var sysctlFolders = []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

// lastSysctlFile is read after all of them.
const lastSysctlFile = "/etc/sysctl.conf"

const (
	maxSysctlFile  = 64 << 10 // bytes
	maxSysctlFiles = 256
)

// BootSettings reads what the files of sysctl(8) set, in the order in which
// sysctl --system does. What does not exist sets nothing. The result is not nil;
// the error tells of the first file or folder that could not be read, or that was
// cut, and the result holds the rest.
func (f FS) BootSettings() ([]tcpvet.Setting, error) {
	settings := []tcpvet.Setting{}
	var failed error
	note := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = cmp.Or(failed, err)
		}
	}
	rank := make(map[string]string) // paths by base name
	for _, folder := range sysctlFolders {
		entries, err := os.ReadDir(f.Host + folder)
		if err != nil {
			note(fmt.Errorf("read settings: %w", err))
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".conf") && rank[name] == "" {
				rank[name] = filepath.Join(folder, name)
			}
		}
	}
	names := make([]string, 0, len(rank))
	for name := range rank {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > maxSysctlFiles {
		note(fmt.Errorf("read settings: of %d files the first %d were read", len(names), maxSysctlFiles))
		names = names[:maxSysctlFiles]
	}
	files := make([]string, 0, len(names)+1)
	for _, name := range names {
		files = append(files, rank[name])
	}
	for _, file := range append(files, lastSysctlFile) {
		b, err := readSysctlFile(f.Host + file)
		note(err)
		settings = append(settings, ParseSysctlConf(file, b)...)
	}
	return settings, failed
}

// readSysctlFile reads a regular file. A link to /dev/null stands for none: it
// masks one of lower rank.
func readSysctlFile(file string) ([]byte, error) {
	fd, err := openat(unix.AT_FDCWD, file, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("read settings: open %s: %w", file, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("read settings: %s: %w", file, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, nil
	}
	b, cut, err := readUpTo(fd, maxSysctlFile)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read settings: %s: %w", file, err)
	case cut:
		return b, fmt.Errorf("read settings: %s: more than %d bytes", file, maxSysctlFile)
	}
	return b, nil
}
