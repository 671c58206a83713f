package lab

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/capture"
)

// remarks are what a segment may be beside what its flags say.
const remarks = capture.Retransmission | capture.OutOfOrder | capture.KeepaliveProbe | capture.WindowProbe |
	capture.DupACK | capture.ZeroWindow | capture.WindowUpdate | capture.AfterClose | capture.Ignored

// segmentTable writes segments, a line each: when, from which end, its flags and
// relative numbers, what became of it, and the states that it led to. Of several
// conversations each line has the client's port.
func segmentTable(w io.Writer, segments []Crossing) {
	if len(segments) == 0 {
		return
	}
	clients, several := clientsOf(segments)
	for i := range segments {
		c := &segments[i]
		way := "server > client"
		client := c.Segment.Dst
		if clients[c.Segment.Src] {
			way, client = "client > server", c.Segment.Src
		}
		if several {
			way = fmt.Sprintf("%5d  %s", client.Port(), way)
		}
		at := time.Duration(c.Segment.At - segments[0].Segment.At)
		line := fmt.Sprintf("%s%9.1f ms  %s  %-28s  %s", margin, float64(at.Microseconds())/1000, way, c, c.led())
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// clientsOf gives the clients' endpoints, and whether there are several.
func clientsOf(segments []Crossing) (clients map[netip.AddrPort]bool, several bool) {
	clients, servers := make(map[netip.AddrPort]bool), make(map[netip.AddrPort]bool)
	know := func(client, server netip.AddrPort) { clients[client], servers[server] = true, true }
	for i := range segments {
		c := &segments[i]
		switch {
		case c.Step.From == tcpvet.ClientEnd:
			know(c.Segment.Src, c.Segment.Dst)
		case c.Step.From == tcpvet.ServerEnd:
			know(c.Segment.Dst, c.Segment.Src)
		}
	}
	// Those that were lost have no step.
	for i := range segments {
		switch c := &segments[i]; {
		case clients[c.Segment.Src] || servers[c.Segment.Src]:
		case SYNACK(c) || !SYN(c) && c.Segment.Src.Port() < c.Segment.Dst.Port():
			know(c.Segment.Dst, c.Segment.Src)
		default:
			know(c.Segment.Src, c.Segment.Dst)
		}
	}
	return clients, len(clients) > 1
}

// String gives the segment in a few words, with sequence numbers relative to the
// conversation's first ones, and what became of it if it did not just pass: "SYN
// ACK seq 0 ack 1", "ACK seq 1 ack 7 length 12 (dropped)".
func (c *Crossing) String() string {
	s := &c.Segment
	var words []string
	for _, f := range [...]struct {
		flag capture.Flags
		name string
	}{{capture.SYN, "SYN"}, {capture.FIN, "FIN"}, {capture.RST, "RST"}, {capture.ACK, "ACK"}} {
		if s.Flags.Has(f.flag) {
			words = append(words, f.name)
		}
	}
	words = append(words, fmt.Sprintf("seq %d", s.Seq-c.Step.SeqBase))
	if s.Flags.Has(capture.ACK) {
		words = append(words, fmt.Sprintf("ack %d", s.Ack-c.Step.AckBase))
	}
	if s.Len > 0 {
		words = append(words, fmt.Sprintf("length %d", s.Len))
	}
	if what := c.Step.What & remarks; what != 0 {
		words = append(words, "("+what.String()+")")
	}
	if c.Fate != Passed {
		words = append(words, "("+c.Fate.String()+")")
	}
	return strings.Join(words, " ")
}

// led gives the states that the segment led to: "server SYN-RECV".
func (c *Crossing) led() string {
	client, server := c.Step.ClientAfter, c.Step.ServerAfter
	toClient, toServer := client != c.Step.ClientBefore, server != c.Step.ServerBefore
	switch {
	case toClient && toServer && client == server:
		return "both " + stateWord(client)
	case toClient && toServer:
		return "client " + stateWord(client) + ", server " + stateWord(server)
	case toClient:
		return "client " + stateWord(client)
	case toServer:
		return "server " + stateWord(server)
	}
	return ""
}

// stateWord names the state of an end of a conversation.
func stateWord(s tcpvet.State) string {
	if s == tcpvet.Unconn {
		return "CLOSED"
	}
	return s.String()
}
