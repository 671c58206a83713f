package keepalive

import (
	"sync/atomic"

	"github.com/tcpvet/tcpvet/internal/opened"
)

// Stats counts what the dials of one Options, or of several, come to. The zero value
// is ready. Do not copy it.
type Stats struct {
	opened, failed, waited, exceeded, exhausted, leaked atomic.Int64
	book                                                opened.Book
}

// Counts are what Stats has counted. All but Open only grow.
type Counts struct {
	Open           int   // connections that this program has not closed
	Opened         int64 // dials that connected
	Failed         int64 // dials that did not, for whatever reason
	Waited         int64 // dials that the Budget made wait, and let go on
	BudgetExceeded int64 // of Failed, those that the Budget held back to the end
	PortsExhausted int64 // of Failed, those that found no local port
	Leaks          int64 // leaks told of; 0 without TrackLeaks
}

// Read gives the counts. It looks at each connection that was open at the last Read, at
// a cost of some tenths of a microsecond for each.
func (s *Stats) Read() Counts {
	return Counts{
		Open: s.book.Len(), Opened: s.opened.Load(), Failed: s.failed.Load(), Waited: s.waited.Load(),
		BudgetExceeded: s.exceeded.Load(), PortsExhausted: s.exhausted.Load(), Leaks: s.leaked.Load(),
	}
}
