package procfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// ErrHidden says that there is a process of that PID, which procfs does not show: it is
// mounted with hidepid (proc.5).
var ErrHidden = errors.New("process is hidden, as procfs is mounted with hidepid")

// unopened says what an error to open the folder of a process means: ErrEnded,
// ErrHidden, or itself. The kernel answers for both that there is no such file.
func (fs FS) unopened(pid int32, err error) error {
	switch {
	case !gone(err):
		return err
	case fs.live() && pid > 0 && unix.Kill(int(pid), 0) != unix.ESRCH:
		return ErrHidden
	}
	return ErrEnded
}
