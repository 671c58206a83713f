package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OpenFiles gives how many files are open on the whole host (proc_sys_fs(5),
// file-nr): about as many as there are descriptors, without those that processes
// share.
func (fs FS) OpenFiles() (n uint64, err error) {
	text, err := os.ReadFile(filepath.Join(fs.root(), "sys/fs/file-nr"))
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &n); err != nil {
		return 0, fmt.Errorf("read sys/fs/file-nr: %w", err)
	}
	return n, nil
}
