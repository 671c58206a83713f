package kernel

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// CgroupV2 tells whether a cgroup 2 hierarchy is mounted where this process
// sees it (Documentation/admin-guide/cgroup-v2.rst, "Mounting").
func CgroupV2() error {
	_, err := CgroupV2Mount()
	return err
}

// CgroupV2Mount gives the path at which the cgroup 2 hierarchy is mounted:
// /sys/fs/cgroup, or /sys/fs/cgroup/unified beside version 1. Where it is
// mounted nowhere the error is an *Unsupported.
func CgroupV2Mount() (string, error) {
	const feature = "a mounted cgroup 2 hierarchy"
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("probe %s: %w", feature, err)
	}
	if path, ok := cgroup2In(data); ok {
		return path, nil
	}
	return "", &Unsupported{Feature: feature, Lack: "none is mounted where this process sees it"}
}

// cgroup2In finds the first cgroup 2 mount in the text of a mountinfo file
// (proc_pid_mountinfo(5)): "36 35 98:0 /root /mount/point rw,noatime
// [optional fields] - cgroup2 source options".
func cgroup2In(mountinfo []byte) (path string, ok bool) {
	for line := range bytes.Lines(mountinfo) {
		front, back, found := strings.Cut(string(line), " - ")
		if !found || !strings.HasPrefix(back, "cgroup2 ") {
			continue
		}
		if f := strings.Fields(front); len(f) > 4 {
			return unescapeMount(f[4]), true
		}
	}
	return "", false
}

// unescapeMount undoes the kernel's mangle_path: space, tab, newline and
// backslash stand as a backslash and three octal digits.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
