package scenarios

import (
	"time"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/lab"
)

// keepaliveProbe matches a probe that has crossed.
func keepaliveProbe(c *lab.Crossing) bool { return c.Step.What.Has(capture.KeepaliveProbe) }

// lost matches what did not arrive.
func lost(m lab.Match) lab.Match {
	return func(c *lab.Crossing) bool { return c.Fate == lab.Dropped && m(c) }
}

// after gives those that crossed later.
func after(at time.Time, crossed []lab.Crossing) []lab.Crossing {
	var later []lab.Crossing
	for _, c := range crossed {
		if c.Segment.At > at.UnixNano() {
			later = append(later, c)
		}
	}
	return later
}
