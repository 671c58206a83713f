package live

import "github.com/tcpvet/tcpvet/capture"

// Stats is what was captured so far.
type Stats struct {
	// Packets is how many were read out of the ring. Each is counted once
	// more below.
	Packets   uint64
	TCP       uint64 // those that Next gave
	Passed    uint64 // TCP that the kernel's program let through and the filter does not select
	Other     uint64 // not TCP, and let through
	Fragments uint64 // without a TCP header, as it is in the first fragment
	Short     uint64 // of which too little was kept for a TCP header
	Malformed uint64

	// Received is how many the kernel's program let through. Those that are
	// neither dropped nor among Packets wait in the ring.
	Received uint64
	Drops    uint64 // for which the ring had no room
	Freezes  uint64 // how many times the ring was full
}

// count adds a packet.
func (s *Stats) count(v capture.Verdict, selected bool) {
	s.Packets++
	switch v {
	case capture.IsTCP:
		if selected {
			s.TCP++
		} else {
			s.Passed++
		}
	case capture.LaterFragment:
		s.Fragments++
	case capture.Short:
		s.Short++
	case capture.Malformed:
		s.Malformed++
	default:
		s.Other++
	}
}
