package kerneltest

import (
	"os"
	"testing"
	"time"
)

// NeedsTime begins the reason of a skipped soak test.
const NeedsTime = "needs time"

// Soak tells a test named TestSoak… how long to run: TCPVET_SOAK, a duration
// such as 10m, which "make soak" sets. Without it the test is skipped. The files
// of such tests have the build tag soak, so that "make test" does not list what it
// is not meant to run.
func Soak(t testing.TB) time.Duration {
	t.Helper()
	s := os.Getenv("TCPVET_SOAK")
	if s == "" {
		t.Skip(NeedsTime + ": run make soak to include this test")
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		t.Fatalf("read TCPVET_SOAK %q: want a duration such as 10m", s)
	}
	return d
}
