package filter

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/tcpvet/tcpvet"
)

// PacketFilter selects TCP segments by what they carry of a filter: addresses
// and ports. A segment is selected where the filter is true of the socket at
// one of its ends, so that both directions of a conversation are, or neither:
// "src" stands for the sender of some segments and for the receiver of the
// others. To leave out a port wants both ends named: "not (sport = :22 or dport
// = :22)", since the socket at the other end of "dport = :22" has another dport.
//
// The zero value and nil select all. It does not change once it is made and may
// be used from many goroutines.
type PacketFilter struct{ expr Expr }

// packets is the language of filters of packets.
var packets = sync.OnceValue(func() *language {
	l := languageOf([]string{"src", "dst", "sport", "dport"}, untold())
	l.noLinks = "a packet does not name the link of an address: leave out what follows %, and capture on that interface alone"
	return l
})

// untold holds the terms that a filter of sockets has and one of packets has
// not.
func untold() map[string]string {
	const only = "; packets are chosen by src, dst, sport and dport"
	const kernels = `" is kept by the kernel that holds the socket and is in no packet` + only
	reasons := map[string]string{
		"role":  `which end is the client shows in a conversation, not in each of its packets` + only,
		"timer": `"timer` + kernels,
		"age":   `"age` + kernels,
		"dev":   `"dev" is chosen by the interface to capture on` + only,
	}
	for _, word := range []string{"state", "exclude", "excl"} {
		reasons[word] = "a packet does not tell the state of a connection: it follows from all packets of it" + only
	}
	for _, word := range []string{"fwmark", "autobound"} {
		reasons[word] = `"` + word + kernels
	}
	for _, q := range quantities {
		reasons[q.word] = `"` + q.word + kernels
	}
	return reasons
}

// ParsePackets reads a filter of packets from the arguments of a command, as
// Parse does. An error is a *SyntaxError; that of a term which a packet does
// not tell says why.
func ParsePackets(args []string) (*PacketFilter, error) {
	e, err := packets().parse(strings.Join(args, " "))
	if err != nil {
		return nil, err
	}
	return &PacketFilter{e}, nil
}

// Packets gives the filter of the segments for which e is True at one end. The
// error names a term that a packet does not tell.
func Packets(e Expr) (*PacketFilter, error) {
	if err := packetTerms(e); err != nil {
		return nil, fmt.Errorf("filter packets: %w", err)
	}
	return &PacketFilter{e}, nil
}

func packetTerms(e Expr) error {
	var parts []Expr
	switch e := e.(type) {
	case And:
		parts = e
	case Or:
		parts = e
	case Not:
		return packetTerms(e.X)
	case Port:
	case Host:
		if e.Link != 0 {
			return fmt.Errorf("%s: %s", e, packets().noLinks)
		}
	default:
		word, _, _ := strings.Cut(e.String(), " ")
		return fmt.Errorf("%s: %s", e, packets().refused[word])
	}
	for _, x := range parts {
		if err := packetTerms(x); err != nil {
			return err
		}
	}
	return nil
}

// All tells whether the filter was made to select all segments.
func (f *PacketFilter) All() bool {
	if f == nil || f.expr == nil {
		return true
	}
	e, ok := f.expr.(And)
	return ok && len(e) == 0
}

// String gives the filter as ParsePackets reads it; "" for one that selects
// all.
func (f *PacketFilter) String() string {
	if f.All() {
		return ""
	}
	return f.expr.String()
}

// Match tells whether the filter selects a segment from src to dst. A host of
// which only the name is known (tcpvet.HostName) may have any address: a term
// about it is unknown, and so is its negation. Match does not allocate.
func (f *PacketFilter) Match(src, dst netip.AddrPort) bool {
	return f.All() || judgeEnds(f.expr, src, dst) == True || judgeEnds(f.expr, dst, src) == True
}

// judgeEnds is Expr.Judge of a socket of which only the ends are known.
func judgeEnds(e Expr, local, remote netip.AddrPort) Truth {
	switch e := e.(type) {
	case And:
		t := True
		for _, x := range e {
			if t = min(t, judgeEnds(x, local, remote)); t == False {
				break
			}
		}
		return t
	case Or:
		t := False
		for _, x := range e {
			if t = max(t, judgeEnds(x, local, remote)); t == True {
				break
			}
		}
		return t
	case Not:
		return judgeEnds(e.X, local, remote).Not()
	case Host:
		return e.of(e.End.choose(local, remote))
	case Port:
		return truth(compare(e.End.choose(local, remote).Port(), e.Op, e.Port))
	}
	return Unknown
}

func (e End) choose(local, remote netip.AddrPort) netip.AddrPort {
	if e == Local {
		return local
	}
	return remote
}

// of is Judge of one end.
func (e Host) of(ap netip.AddrPort) Truth {
	if e.HasPort && ap.Port() != e.Port {
		return False
	}
	if !e.Prefix.IsValid() {
		return True
	}
	addr := ap.Addr()
	if _, named := tcpvet.HostName(addr); named {
		return Unknown
	}
	addr = addr.WithZone("")
	if e.Prefix.Addr().Is4() {
		addr = addr.Unmap()
	}
	return truth(e.Prefix.Contains(addr))
}
