package tcpvet

import (
	"slices"
	"strings"
)

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
	Netns NetnsID
	Where string // the flag that names the namespace, "" for one's own: "--netns pid:4121"
	Name  string // dotted: "net.ipv4.tcp_tw_reuse"
	Value string
	Why   string
}

// SetKeepalive gives keepalive to sockets of running processes.
type SetKeepalive struct {
	Select string // the flags and the filter that choose them: "--pid 4121 dst 10.0.3.7"
	Why    string
}

// Destroy closes sockets from outside of their process.
type Destroy struct {
	State  State  // that they are in
	Select string // the flags and the filter that choose them: "--pid 4121 --state close-wait dst 10.0.3.7"
	Why    string
}

// StartWith gives keepalive, or more local ports, to the sockets that running processes
// open from now on.
type StartWith struct {
	Select string // the flags that choose them, and say what they get: "--pid 4121"
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

// Command is that of tcpvet which plans it.
func (s SetSysctl) Command() string {
	value := s.Value
	if strings.ContainsAny(value, " \t") {
		value = `"` + value + `"`
	}
	return joined("tcpvet fix sysctl", s.Name+"="+value, s.Where)
}

// Risk is ChangesKernel.
func (SetSysctl) Risk() Risk { return ChangesKernel }
func (SetSysctl) isRemedy()  {}

func (k SetKeepalive) String() string { return k.Why }

// Kind is ByCommand.
func (SetKeepalive) Kind() RemedyKind { return ByCommand }

// Command is that of tcpvet which plans it.
func (k SetKeepalive) Command() string { return joined("tcpvet fix keepalive", k.Select) }

// Risk is ChangesProcess: an outage that is longer than the timers ends its
// connections.
func (SetKeepalive) Risk() Risk { return ChangesProcess }
func (SetKeepalive) isRemedy()  {}

func (d Destroy) String() string { return d.Why }

// Kind is ByCommand.
func (Destroy) Kind() RemedyKind { return ByCommand }

// Command is that of tcpvet which plans it.
func (d Destroy) Command() string {
	return joined("tcpvet fix close", d.Select)
}

// Risk is that of sockets which nobody uses any more, or of those in use.
func (d Destroy) Risk() Risk {
	if d.State == CloseWait || d.State == TimeWait {
		return ChangesProcess
	}
	return DropsConnections
}
func (Destroy) isRemedy() {}

func (s StartWith) String() string { return s.Why }

// Kind is ByCommand.
func (StartWith) Kind() RemedyKind { return ByCommand }

// Command is that of tcpvet which does it.
func (s StartWith) Command() string { return joined("tcpvet run", s.Select) }

// Risk is ChangesProcess: an outage that is longer than the timers ends its
// connections.
func (StartWith) Risk() Risk { return ChangesProcess }
func (StartWith) isRemedy()  {}

// joined puts words together, without those that are empty.
func joined(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

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
