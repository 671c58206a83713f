package vet

import (
	"fmt"
	"net/netip"

	"github.com/tcpvet/tcpvet"
)

// Flag is a flag of a TCP segment, as tcpdump's filters name it.
type Flag struct {
	name string
	bit  int
}

// The flags that a recording is counted by.
var (
	FlagFIN = Flag{"tcp-fin", 1}
	FlagSYN = Flag{"tcp-syn", 2}
	FlagRST = Flag{"tcp-rst", 4}
)

// Recorded gives the shell line that counts, in the recording that the findings are
// about, the segments with a flag which one end of a service's conversations sent. ok
// is false where tcpdump cannot be asked.
func Recorded(t *tcpvet.Traffic, service netip.AddrPort, flag Flag, from tcpvet.End) (check string, ok bool) {
	_, named := tcpvet.HostName(service.Addr())
	if t.Check == "" || !service.IsValid() || named {
		return "", false
	}
	dir := "dst"
	if from == tcpvet.ServerEnd {
		dir = "src"
	}
	set := "tcp[tcpflags] & " + flag.name + " != 0"
	if service.Addr().Is6() {
		set = fmt.Sprintf("ip6[6] = 6 and ip6[53] & %d != 0", flag.bit) // tcp[] is for IPv4 only
	}
	return fmt.Sprintf("tcpdump -nr %s '%s and %s host %s and %s port %d' | wc -l",
		Quote(t.Check), set, dir, service.Addr(), dir, service.Port()), true
}

// ClientsText names the clients of a tally, as far as they are known.
func ClientsText(n *tcpvet.NoteTally) string {
	text := ""
	for i, a := range n.Clients {
		switch {
		case i == 0:
		case i == len(n.Clients)-1 && !n.MoreClients:
			text += " and "
		default:
			text += ", "
		}
		text += Plain(tcpvet.HostText(a))
	}
	if n.MoreClients {
		text += " and others"
	}
	return text
}
