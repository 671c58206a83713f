//go:build soak

package trace

import (
	"testing"
	"time"

	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// For as long as it is given a trace follows connections that come and go beside
// 200,000 that stay, each with both ends here: more than its table has room for.
func TestSoakStays(t *testing.T) {
	d := kerneltest.Soak(t)
	// A process may have 20,000 descriptors here.
	until := time.Now().Add(d)
	stays(t, staying{held: 204_000, holders: 12, room: usualConnections, churn: 5000, rounds: func(int) bool { return time.Now().Before(until) }})
}
