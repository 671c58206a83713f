package kerneltest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// kernelRelease gives the release that uname(2) tells: "6.1.0-18-amd64".
func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("read kernel release: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// older tells whether a release precedes that of a feature, "6.8". One that
// does not begin with two numbers counts as older: it proves nothing.
func older(release, since string) bool {
	var major, minor, wantMajor, wantMinor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return true
	}
	if n, _ := fmt.Sscanf(since, "%d.%d", &wantMajor, &wantMinor); n != 2 {
		return true
	}
	return major < wantMajor || major == wantMajor && minor < wantMinor
}
