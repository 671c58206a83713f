package tcpvet

import (
	"slices"
	"time"
)

// spanEdges are where Spans tell times apart: the usual times of keepalive, and
// the usual limits of what forgets idle connections.
var spanEdges = [...]time.Duration{
	0, 1 * time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 8 * time.Second, 10 * time.Second,
	15 * time.Second, 20 * time.Second, 30 * time.Second, 45 * time.Second, 60 * time.Second, 75 * time.Second, 90 * time.Second,
	100 * time.Second, 120 * time.Second, 150 * time.Second, 180 * time.Second, 240 * time.Second, 300 * time.Second, 350 * time.Second,
	400 * time.Second, 500 * time.Second, 600 * time.Second, 900 * time.Second, 1200 * time.Second, 1800 * time.Second,
	3600 * time.Second, 7200 * time.Second, 14400 * time.Second, 86400 * time.Second,
}

// Spans counts times between fixed edges, from one second to a day.
type Spans [len(spanEdges)]uint32

// Add counts d, rounded to a tenth of a second: the kernel's ticks make 29.998 s
// of 30.
func (s *Spans) Add(d time.Duration) { s[spanOf(d.Round(100*time.Millisecond))]++ }

// spanOf gives the last edge that is not above d.
func spanOf(d time.Duration) int {
	i, exact := slices.BinarySearch(spanEdges[:], d)
	if !exact {
		i--
	}
	return max(i, 0)
}

// AtLeast is how many are surely d or longer: Edge(d) or longer.
func (s *Spans) AtLeast(d time.Duration) uint64 {
	i, _ := slices.BinarySearch(spanEdges[:], d)
	var n uint64
	for _, c := range s[i:] {
		n += uint64(c)
	}
	return n
}

// Edge is the duration from which AtLeast(d) counts: d, or the next edge; d where
// there is none.
func (s *Spans) Edge(d time.Duration) time.Duration {
	i, _ := slices.BinarySearch(spanEdges[:], d)
	if i == len(spanEdges) {
		return d
	}
	return spanEdges[i]
}

// Longest is the last edge that one of them reaches; 0 for none.
func (s *Spans) Longest() time.Duration {
	for i := len(s) - 1; i > 0; i-- {
		if s[i] > 0 {
			return spanEdges[i]
		}
	}
	return 0
}

// Total is how many were counted.
func (s *Spans) Total() uint64 { return s.AtLeast(0) }

// Merge adds o's counts to s's.
func (s *Spans) Merge(o *Spans) {
	for i, c := range o {
		s[i] += c
	}
}

// KeepaliveAtLeast gives the least silence that the next keepalive probe can break,
// for a connection whose keepalive timer runs and which has no probe unanswered. That
// silence is TCP_KEEPIDLE, or TCP_KEEPINTVL where that is longer: the timer is set for
// the one when a segment has come, for the other when a probe has gone out, and where
// it ends before TCP_KEEPIDLE has passed it is set anew for the rest
// (tcp_keepalive_timer in net/ipv4/tcp_timer.c).
func KeepaliveAtLeast(s *Socket) time.Duration {
	return s.Timer.Expires + min(s.Info.LastDataRecv, s.Info.LastAckRecv)
}
