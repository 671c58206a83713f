package probe

import (
	"net/netip"
	"time"
)

// Answers is what became of keepalive probes that were sent to a peer.
type Answers struct {
	Target string         // as it was asked for
	Remote netip.AddrPort // the address that was asked
	Local  netip.AddrPort
	Taken  time.Time // when it began
	Took   time.Duration

	Fate     Fate
	Errno    Errno         // with which it ended, 0 for none
	Probes   int           // that were sent
	Answered int           // of them
	Ended    bool          // the peer's FIN came once one was answered
	Wait     time.Duration // for the last answer, or for nothing
	Broken   int           // segments of the peer that came unasked, without data

	// Slowest is how long the slowest answer took at most.
	Slowest time.Duration

	Loopback    bool // it did not leave the host
	Interrupted bool // after some were answered
}
