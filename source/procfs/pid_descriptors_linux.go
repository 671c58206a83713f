package procfs

import (
	"context"
	"fmt"

	"github.com/tcpvet/tcpvet"
)

// Descriptors finds the process that has a PID, and counts its descriptors as
// ScanHolders does for all. They are 0 where they may not be read. The error wraps
// ErrEnded where there is no such process.
func (fs FS) Descriptors(pid int32) (p tcpvet.Process, c Counts, err error) {
	root, err := openRoot(fs.root())
	if err != nil {
		return p, c, fmt.Errorf("read process %d: open %s: %w", pid, fs.root(), err)
	}
	defer root.close()
	s := &scan{ctx: context.Background(), live: fs.live(), h: newHolders(false), text: make([]byte, 4096), list: make([]byte, 64<<10)}
	s.process(root, pid)
	for p, c := range s.h.Processes() {
		if s.failure != nil {
			return p, c, fmt.Errorf("read the descriptors of process %d: %w", pid, s.failure)
		}
		return p, c, nil
	}
	return p, c, fmt.Errorf("read process %d: %w", pid, ErrEnded)
}
