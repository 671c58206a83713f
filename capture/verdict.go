package capture

// Verdict is what became of a packet. Each packet gets exactly one, so that
// every packet of a capture is accounted for.
type Verdict uint8

// The verdicts. Only IsTCP fills the whole Segment.
const (
	IsTCP         Verdict = iota
	NotTCP                // another protocol
	LaterFragment         // a piece of a TCP segment without its header
	Short                 // the capture did not keep the 20 bytes that every TCP header has
	Malformed             // its headers contradict themselves or each other
	UnknownLink           // of a link type that is not read
)

// String gives the verdict in words.
func (v Verdict) String() string {
	return [...]string{"TCP", "not TCP", "later fragment", "captured too short", "malformed", "unknown link type"}[min(v, UnknownLink)]
}
