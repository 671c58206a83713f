package vet

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpvet/tcpvet"
)

// Selection is a set of sockets of one namespace that ss(8) of iproute2 6.1 can
// select. The zero value holds all of them.
type Selection struct {
	State         tcpvet.State   // 0 for every state
	Local, Remote netip.AddrPort // the zero value for any; port 0 for any port
	Ports         *tcpvet.Ports  // local port in this range, nil for any
}

// Filter gives the terms of the selection but for its state, in the grammar of
// ss: "src 10.0.0.5 dst 10.0.3.7:8080". An IPv4 address selects IPv4-mapped
// ones too.
func (s Selection) Filter() string {
	var terms []string
	if s.Local.Addr().IsValid() {
		terms = append(terms, "src "+ssEndpoint(s.Local))
	}
	if s.Remote.Addr().IsValid() {
		terms = append(terms, "dst "+ssEndpoint(s.Remote))
	}
	if s.Ports != nil {
		terms = append(terms, fmt.Sprintf("sport ge :%d sport le :%d", s.Ports.Low, s.Ports.High))
	}
	return strings.Join(terms, " ")
}

// ssEndpoint leaves out the zone of an address, which ss cannot read.
func ssEndpoint(ap netip.AddrPort) string {
	addr := ap.Addr().WithZone("")
	if ap.Port() != 0 {
		return netip.AddrPortFrom(addr, ap.Port()).String()
	}
	if addr.Is6() {
		return "[" + addr.String() + "]"
	}
	return addr.String()
}

// List gives the shell line that lists the selection, without names looked up,
// one socket a line and no heading.
func (s Selection) List() string {
	words := []string{"ss -Htan"}
	if s.State != 0 {
		words = []string{"ss -Htn state", s.State.SS()}
	}
	if filter := s.Filter(); filter != "" {
		words = append(words, ShellFilter(filter))
	}
	return strings.Join(words, " ")
}

// Count gives the shell line that counts the selection.
func (s Selection) Count() string { return s.List() + " | wc -l" }

// OfEveryProcess ends the words of evidence that counts sockets of the Census's
// groups by a Selection. A filter leaves sockets out of the groups that ss counts.
func OfEveryProcess(c *tcpvet.Census) string {
	if c.Selected < c.Sockets {
		return ", of those selected (the command counts all)"
	}
	return ", of every process"
}

// ShellFilter makes a filter in ss grammar fit for a shell line: the brackets of
// an IPv6 address are a pattern to a shell.
func ShellFilter(filter string) string {
	if strings.ContainsAny(filter, "[]()<>!&|*") {
		return Quote(filter)
	}
	return filter
}

// Narrow gives the flags and the filter by which a verb of tcpvet selects sockets of a
// process, of whomever where that is not known: "--pid 4121 dst 10.0.3.7:8080".
func Narrow(netnsFlag string, holder tcpvet.Process, more ...string) string {
	var words []string
	if holder.Known() {
		words = append(words, fmt.Sprintf("--pid %d", holder.PID))
	}
	for _, w := range append([]string{netnsFlag}, more...) {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}
