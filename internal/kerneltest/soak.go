package kerneltest

import (
	"os"
	"testing"
	"time"
)

// NeedsTime begins the reason of a skipped soak test.
const NeedsTime = "needs time"

// Soak tells a test named TestSoak… how long to run: TCPVET_SOAK, a duration
// such as 10m. Without it the test is skipped; "make soak" sets it.
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
