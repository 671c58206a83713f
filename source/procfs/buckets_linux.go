package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Buckets gives how many buckets the table of connections has that the calling
// thread's network namespace uses: net.ipv4.tcp_ehash_entries (Linux 6.1), where
// a negative number is that of the table shared with the first namespace.
func (fs FS) Buckets() (int, error) {
	b, err := os.ReadFile(filepath.Join(fs.root(), "sys/net/ipv4/tcp_ehash_entries"))
	if err != nil {
		return 0, fmt.Errorf("read buckets: %w", err)
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	if err != nil {
		return 0, fmt.Errorf("read buckets: %w", err)
	}
	return max(n, -n), nil
}
