package tcpvet

import "strings"

// Risk says what acting on a remedy can break.
type Risk uint8

// The risks, in rising order.
const (
	RiskNone Risk = iota
	ChangesProcess
	DropsConnections
	ChangesKernel
)

// String gives the risk's word.
func (r Risk) String() string {
	return [...]string{"none", "changes-process", "drops-connections", "changes-kernel"}[min(r, ChangesKernel)]
}

// RemedyKind says where a remedy is applied.
type RemedyKind uint8

// The kinds.
const (
	ByAdvice  RemedyKind = iota // something to know or to decide
	ByCode                      // in the program's code or configuration
	ByCommand                   // by the command that it names
)

// String gives the kind's word.
func (k RemedyKind) String() string {
	return [...]string{"advice", "code", "command"}[min(k, ByCommand)]
}

// Remedy is one way to cure a finding. The set of its types is closed.
type Remedy interface {
	String() string // what it does, in a sentence
	Kind() RemedyKind
	Command() string // the exact shell line, "" for none
	Risk() Risk
	isRemedy()
}

// Advise says what to do where tcpvet has nothing to apply.
type Advise struct {
	Text string
	Run  string // a command that shows more and changes nothing, "" for none
	Code bool   // it is about the program's code or configuration
	May  Risk   // what following it can break
}

// SetSysctl sets a kernel setting of a network namespace.
type SetSysctl struct {
	Netns  NetnsID
	Prefix string // the words that enter the namespace, "" for one's own
	Name   string // dotted: "net.ipv4.tcp_tw_reuse"
	Value  string
	Why    string
}

// Destroy closes sockets from outside of their process.
type Destroy struct {
	Netns  NetnsID
	Prefix string // the words that enter the namespace, "" for one's own
	State  State
	Filter string // in ss grammar: "dst 10.0.3.7:8080"
	Why    string
}

func (a Advise) String() string { return a.Text }

// Kind is ByCode for what concerns the program, else ByAdvice.
func (a Advise) Kind() RemedyKind {
	if a.Code {
		return ByCode
	}
	return ByAdvice
}

// Command is the line that shows more.
func (a Advise) Command() string { return a.Run }

// Risk is what following the advice can break.
func (a Advise) Risk() Risk { return a.May }
func (Advise) isRemedy()    {}

func (s SetSysctl) String() string { return s.Why }

// Kind is ByCommand.
func (SetSysctl) Kind() RemedyKind { return ByCommand }

// Command is a sysctl(8) line.
func (s SetSysctl) Command() string {
	value := s.Value
	for _, r := range value {
		if r == ' ' || r == '\t' {
			value = `"` + value + `"`
			break
		}
	}
	return s.Prefix + "sysctl -w " + s.Name + "=" + value
}

// Risk is ChangesKernel.
func (SetSysctl) Risk() Risk { return ChangesKernel }
func (SetSysctl) isRemedy()  {}

func (d Destroy) String() string { return d.Why }

// Kind is ByCommand.
func (Destroy) Kind() RemedyKind { return ByCommand }

// Command is an ss(8) line.
func (d Destroy) Command() string {
	filter := d.Filter
	if strings.ContainsAny(filter, "[(") { // a pattern to a shell
		filter = "'" + filter + "'"
	}
	return d.Prefix + "ss -Ktn state " + d.State.SS() + " " + filter
}

// Risk is DropsConnections.
func (Destroy) Risk() Risk { return DropsConnections }
func (Destroy) isRemedy()  {}

// SS gives the state as the grammar of ss(8) spells it: "established",
// "close-wait".
func (s State) SS() string {
	switch s {
	case Established:
		return "established"
	case Listen:
		return "listening"
	case Unconn, BoundInactive:
		return "unconnected"
	}
	return strings.ToLower(s.String())
}
