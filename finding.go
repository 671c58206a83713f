package tcpvet

import (
	"net/netip"
	"time"
)

// Severity says how much a finding matters.
type Severity uint8

// The severities, in rising order.
const (
	Info     Severity = iota + 1 // worth knowing
	Warning                      // will hurt if nothing is done
	Critical                     // hurts now, or will within the hour
)

// String gives the severity's word.
func (s Severity) String() string {
	return [...]string{"none", "info", "warning", "critical"}[min(s, Critical)]
}

// Certainty says how sure a finding is.
type Certainty uint8

// The certainties.
const (
	Certain Certainty = iota // follows from what was seen
	Likely                   // fits what was seen; something else could too
)

// String gives the certainty's word.
func (c Certainty) String() string {
	if c == Likely {
		return "likely"
	}
	return "certain"
}

// Coverage says how much of the machine the finding's numbers rest on.
type Coverage uint8

// The coverages.
const (
	Whole        Coverage = iota // all namespaces, all processes
	OwnProcesses                 // holders of the user's own processes only
	OneNamespace                 // one namespace of several
)

// String gives the coverage's word.
func (c Coverage) String() string {
	return [...]string{"whole", "own-processes", "one-namespace"}[min(c, OneNamespace)]
}

// Finding is something wrong, as one rule found it.
type Finding struct {
	Rule      string
	Severity  Severity
	Certainty Certainty
	Kind      string     // the rule's own word, "" for none
	Since     *time.Time // when it began, nil where that is not known
	Coverage  Coverage   // filled in by the engine
	Subject   Subject    // what it is about
	Title     string     // one line: who, where, toward what
	Detail    []string   // further sentences, in order
	Numbers   []Number   // what the sentences rest on
	Evidence  []Evidence // how to see the same without tcpvet
	Remedies  []Remedy   // best first
}

// Subject is what a finding is about.
type Subject struct {
	Netns     NetnsID
	Processes []Process // the holder first, then those that share its sockets
	Container *Container
	Service   netip.AddrPort // the zero value for none
	Services  int            // how many services were folded into this finding; 0 or 1 where Service says it
	Local     netip.Addr     // the zero value for none
}

// Number is a named value of a finding. Its name ends in its unit.
type Number struct {
	Name  string
	Value float64
}

// Evidence is something that was seen, with a command of Debian 12's tools
// that shows the same and is safe on a sick host.
type Evidence struct {
	What  string // what was counted or read
	Got   string // the value: what Check prints, thousands set off by commas
	Check string // a shell line, "" where there is none
}
