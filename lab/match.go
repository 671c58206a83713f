package lab

import "github.com/tcpvet/tcpvet/capture"

// Match tells whether a segment is meant.
type Match func(*Crossing) bool

// AnySegment matches every segment.
func AnySegment(*Crossing) bool { return true }

// SYN matches the first segment of a handshake.
func SYN(c *Crossing) bool {
	return c.Segment.Flags.Has(capture.SYN) && !c.Segment.Flags.Has(capture.ACK)
}

// SYNACK matches the second segment of a handshake.
func SYNACK(c *Crossing) bool { return c.Segment.Flags.Has(capture.SYN | capture.ACK) }

// FIN matches a segment that closes, with data or without.
func FIN(c *Crossing) bool { return c.Segment.Flags.Has(capture.FIN) }

// RST matches a reset.
func RST(c *Crossing) bool { return c.Segment.Flags.Has(capture.RST) }

// Data matches a segment with payload.
func Data(c *Crossing) bool { return c.Segment.Len > 0 }

// PureACK matches a segment that does nothing but acknowledge.
func PureACK(c *Crossing) bool {
	s := &c.Segment
	return s.Flags.Has(capture.ACK) && !s.Flags.Any(capture.SYN|capture.FIN|capture.RST) && s.Len == 0
}

// From matches what a host sends into a tunnel.
func From(h *Host, m Match) Match {
	return func(c *Crossing) bool { return c.From == h && m(c) }
}

// OnPort matches what comes from a port or goes to it.
func OnPort(port uint16, m Match) Match {
	return func(c *Crossing) bool {
		return (c.Segment.Src.Port() == port || c.Segment.Dst.Port() == port) && m(c)
	}
}

// Both matches what both match.
func Both(a, b Match) Match { return func(c *Crossing) bool { return a(c) && b(c) } }

// Not matches what m does not.
func Not(m Match) Match { return func(c *Crossing) bool { return !m(c) } }

// Nth matches only the n-th segment that m matches, from 1. It counts what it
// is asked, so it serves one rule of a tunnel and no other purpose.
func Nth(n int, m Match) Match {
	seen := 0
	return func(c *Crossing) bool {
		if !m(c) {
			return false
		}
		seen++
		return seen == n
	}
}
