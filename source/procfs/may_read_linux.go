package procfs

import "golang.org/x/sys/unix"

// MayReadDescriptors tells whether the caller may read the descriptors of the
// processes of other users (proc_pid_fd(5), capabilities(7)). Of some processes even
// that does not show them.
func MayReadDescriptors() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	const needed = 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_DAC_READ_SEARCH
	return unix.Capget(&hdr, &caps[0]) == nil && caps[0].Effective&needed == needed
}
