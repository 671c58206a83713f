package tcpvet

// FailureKind sorts the connect() calls that failed after they had found a way, by
// what the kernel said.
type FailureKind uint8

// The kinds of failures.
const (
	FailedNoAddress   FailureKind = iota // EADDRNOTAVAIL: no port, or the connection exists
	FailedRefused                        // ECONNREFUSED
	FailedTimedOut                       // ETIMEDOUT
	FailedReset                          // ECONNRESET
	FailedUnreachable                    // ENETUNREACH, EHOSTUNREACH
	FailedAborted                        // ECONNABORTED: it was destroyed from outside
	FailedGivenUp                        // the program closed it before an answer came
	FailedOther

	NumFailures = iota
)

var failureWords = [NumFailures]string{
	"no-address", "refused", "timed-out", "reset", "unreachable", "aborted", "given-up", "other",
}

// String gives the word of docs/json.md.
func (k FailureKind) String() string { return failureWords[min(k, FailedOther)] }

// The numbers of closers and of ways to end.
const (
	NumClosers   = int(CloserBoth) + 1
	NumCloseHows = int(HowTimeout) + 1
)

// EventCounts are numbers of events, without a single one of them.
type EventCounts struct {
	Changes [NumStates][NumStates]uint64     // of state, by the one before and the one after
	Closed  [NumCloseHows][NumClosers]uint64 // connections, by how and by who closed first
	Failed  [NumFailures]uint64              // connect() calls

	// Missed counts the changes that are in none of these, as they came while the
	// kernel was busy with another on the same processor.
	Missed uint64
}

// Connected counts the connections that were opened from here.
func (c *EventCounts) Connected() uint64 { return c.Changes[SynSent][Established] }

// Accepted counts those that were opened by the other end.
func (c *EventCounts) Accepted() uint64 { return c.Changes[SynRecv][Established] }

// Failures counts the connect() calls that failed.
func (c *EventCounts) Failures() (n uint64) {
	for _, v := range c.Failed {
		n += v
	}
	return n
}

// ClosedHow counts the connections that ended so.
func (c *EventCounts) ClosedHow(how CloseHow) (n uint64) {
	for _, v := range c.Closed[how] {
		n += v
	}
	return n
}

// ClosedBy counts the connections that first closed first.
func (c *EventCounts) ClosedBy(first Closer) (n uint64) {
	for how := range c.Closed {
		n += c.Closed[how][first]
	}
	return n
}

// Since gives what came after before was taken.
func (c *EventCounts) Since(before *EventCounts) EventCounts {
	out := *c
	out.Missed -= before.Missed
	for i := range out.Changes {
		for j := range out.Changes[i] {
			out.Changes[i][j] -= before.Changes[i][j]
		}
	}
	for i := range out.Closed {
		for j := range out.Closed[i] {
			out.Closed[i][j] -= before.Closed[i][j]
		}
	}
	for i := range out.Failed {
		out.Failed[i] -= before.Failed[i]
	}
	return out
}
