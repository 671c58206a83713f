package tcpvet

// Cause says why a connection could not be opened. The words are a closed list,
// which docs/json.md gives and tcpvet explain causes explains.
type Cause uint8

// The causes.
const (
	NoCause              Cause = iota // it was opened, or nothing is known of it
	CausePortsExhausted               // no local port is left for the tuple
	CauseReservedPorts                // the reserved ports cover the local port range
	CauseBoundPorts                   // sockets that were bound keep the port, or all ports, from this one
	CauseTupleExists                  // a connection with the same four numbers is there
	CauseAddressNotLocal              // the namespace does not have the source address
	CauseIPv6Disabled                 // the target is IPv6, which is off
	CauseLoopbackDown                 // lo is down
	CauseNoSourceAddress              // there is a way, and no address that may be the source
	CauseSourceScope                  // the source is a loopback address and the target is not
	CauseNoRoute                      // the routing table has no way, or forbids it
	CauseRefused                      // an answer said that nobody listens
	CauseReset                        // an RST came after the handshake
	CauseTimedOut                     // no answer came
	CauseDescriptorLimit              // the process may open no more descriptors
	CauseNameNotFound                 // the name has no address
	CauseUnknown                      // what was seen does not decide it
)

var causeWords = [...]string{
	"", "ports-exhausted", "reserved-ports", "bound-ports", "tuple-exists", "address-not-local", "ipv6-disabled",
	"loopback-down", "no-source-address", "source-scope", "no-route", "refused", "reset", "timed-out",
	"descriptor-limit", "name-not-found", "unknown",
}

// Causes lists every cause in the order in which reports show them.
func Causes() []Cause {
	all := make([]Cause, 0, len(causeWords)-1)
	for c := CausePortsExhausted; c <= CauseUnknown; c++ {
		all = append(all, c)
	}
	return all
}

// String gives the cause's word, "" for NoCause.
func (c Cause) String() string {
	return causeWords[min(c, CauseUnknown)]
}
