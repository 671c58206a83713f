package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where tracefs is mounted, if it is (Documentation/trace/ftrace.rst). A look into the
// second mounts it, where debugfs is: so that one comes last.
const (
	tracefsPlace = "/sys/kernel/tracing/"
	debugfsPlace = "/sys/kernel/debug/tracing/"
)

// TracepointIDs gives the numbers by which perf_event_open(2) knows the tracepoints
// of a group, in the order of their names. Tracefs lists them. Where it is not
// mounted, or not for this user to read, an instance that is mounted nowhere is
// read, which goes with its descriptor: that needs CAP_SYS_ADMIN, and
// CAP_DAC_READ_SEARCH of all but root. What is left is the place in debugfs.
//
// A kernel without them is an *Unsupported; any other error could be mended by a
// privilege.
func TracepointIDs(group string, names ...string) ([]uint64, error) {
	ids, err := tracepointIDs(unix.AT_FDCWD, tracefsPlace, group, names)
	if err == nil {
		return ids, nil
	}
	fs, mountErr := detachedTracefs()
	if mountErr == nil {
		defer unix.Close(fs)
		ids, err := tracepointIDs(fs, "", group, names)
		if errors.Is(err, os.ErrNotExist) {
			return nil, &Unsupported{Feature: "tracepoints of " + group, Err: err}
		}
		return ids, err
	}
	ids, debugErr := tracepointIDs(unix.AT_FDCWD, debugfsPlace, group, names)
	switch {
	case debugErr == nil:
		return ids, nil
	case errors.Is(mountErr, errors.ErrUnsupported):
		return nil, mountErr
	case errors.Is(debugErr, os.ErrPermission):
		return nil, fmt.Errorf("read tracepoints of %s: %w", group, debugErr)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("read tracepoints of %s: %w", group, err)
	}
	return nil, fmt.Errorf("read tracepoints of %s: %w", group, mountErr)
}

// detachedTracefs gives a descriptor of tracefs' root, mounted nowhere.
func detachedTracefs() (int, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	switch {
	case errors.Is(err, unix.ENODEV):
		return -1, &Unsupported{Feature: "tracefs", Err: err}
	case errors.Is(err, unix.ENOSYS):
		return -1, &Unsupported{Feature: "file systems that are mounted nowhere", Since: "5.2", Err: err}
	case err != nil:
		return -1, fmt.Errorf("open tracefs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("make an instance of tracefs: %w", err)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return -1, fmt.Errorf("make a mount of tracefs: %w", err)
	}
	return root, nil
}

func tracepointIDs(dir int, prefix, group string, names []string) ([]uint64, error) {
	ids := make([]uint64, 0, len(names))
	for _, name := range names {
		path := prefix + "events/" + group + "/" + name + "/id"
		fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		var b [32]byte
		n, err := unix.Read(fd, b[:])
		unix.Close(fd)
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		id, err := strconv.ParseUint(strings.TrimSpace(string(b[:max(n, 0)])), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
