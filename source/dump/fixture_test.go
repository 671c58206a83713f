package dump

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The fixtures hold what the tools of Debian 12 (iproute2 6.1, net-tools 2.10,
// lsof 4.95) printed on Linux 6.18 about the sockets of stage;
// TestRootAgree -update writes them.
func TestFixtures(t *testing.T) {
	for _, f := range fixtures {
		t.Run(f.file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", f.file+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			f.check(t, string(text), 30*time.Second) // none took longer to make
		})
	}
}
