package capture

import (
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Step is what one segment was in its conversation, and what it did to it.
type Step struct {
	Number int        // of the conversation
	From   tcpvet.End // ClientEnd or ServerEnd
	What   What

	// The states of both ends before the segment and after it: Unconn is
	// CLOSED, 0 an end that was not seen yet.
	ClientBefore, ServerBefore tcpvet.State
	ClientAfter, ServerAfter   tcpvet.State

	// SeqBase and AckBase are what to take from Seq and Ack for relative
	// numbers: the initial sequence numbers, or the first ones seen.
	SeqBase, AckBase uint32
}

// What is a set of things that a segment was.
type What uint16

// The things that a segment can be. One without a flag of its own is an ACK.
const (
	IsSYN    What = 1 << iota // SYN without ACK
	IsSYNACK                  // SYN with ACK
	IsData                    // it carries payload
	IsACK                     // it does nothing but acknowledge
	IsFIN
	IsRST
	Retransmission // of payload, a SYN or a FIN
	OutOfOrder     // it was overtaken by later ones
	KeepaliveProbe
	WindowProbe  // asks whether a zero window has opened
	DupACK       // it acknowledges what was acknowledged, while data is in flight
	ZeroWindow   // its sender can take no more
	WindowUpdate // after a zero window
	AfterClose   // the conversation had ended before
	Duplicate    // the same packet, captured twice: it counts nowhere
	Ignored      // its receiver does not believe it (RFC 5961)
)

var whatWords = [...]string{"syn", "syn-ack", "data", "ack", "fin", "rst", "retransmission", "out of order", "keepalive probe",
	"window probe", "dup ack", "zero window", "window update", "after close", "duplicate", "ignored"}

// Has tells whether all of want are in the set.
func (w What) Has(want What) bool { return w&want == want }

// String gives the words of the set, separated by commas.
func (w What) String() string {
	var words []string
	for i, word := range whatWords {
		if w&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}
