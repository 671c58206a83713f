package bpfiter

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/tcpvet/tcpvet"
)

// Space is what the sockets of a namespace are judged by.
type Space struct {
	Ports     *tcpvet.Ports   // nil where they are not known: then no Tuples are counted
	Reuse     tcpvet.Reuse    // what tcpvet.ReuseOf gives
	Listening *tcpvet.PortSet // the ports that have a listener; nil for none
}

// The range that Linux has unless it is told otherwise
// (Documentation/networking/ip-sysctl.rst, ip_local_port_range).
const (
	defaultLow  = 32768
	defaultHigh = 60999
)

// The sizes of struct ports and struct space in bpf/tables.h.
const (
	portsLen = 1 << 16 / 8
	spaceLen = 16 + portsLen
)

func (sp *Space) reserved() bool { return sp.Ports != nil && sp.Ports.ReservedInside() > 0 }

// bytes gives a struct space.
func (sp *Space) bytes() []byte {
	b := make([]byte, 0, spaceLen)
	low, high, known, reserved := uint16(defaultLow), uint16(defaultHigh), byte(0), byte(0)
	if sp.Ports != nil {
		low, high, known = sp.Ports.Low, sp.Ports.High, 1
	}
	if sp.reserved() {
		reserved = 1
	}
	b = binary.LittleEndian.AppendUint16(b, low)
	b = binary.LittleEndian.AppendUint16(b, high)
	b = append(b, known, reserved, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(max(sp.Reuse.Mode, 0)))
	b = binary.LittleEndian.AppendUint32(b, uint32(min(max(ceilMS(sp.Reuse.Delay), 0), math.MaxUint32)))
	if sp.Listening == nil {
		return b[:spaceLen]
	}
	return append(b, portBits(sp.Listening)...)
}

// ceilMS gives whole milliseconds; ages have no others.
func ceilMS(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// portBits gives a struct ports: port p is bit p%64 of word p/64.
func portBits(set *tcpvet.PortSet) []byte {
	b := make([]byte, portsLen)
	set.Spans(func(low, high uint16) bool {
		for p := int(low); p <= int(high); p++ {
			b[p/8] |= 1 << (p % 8) // words are little-endian
		}
		return true
	})
	return b
}

// spanEdges gives the edges of tcpvet.Spans in tenths of a second.
func spanEdges() []uint32 {
	var s tcpvet.Spans
	edges := make([]uint32, 0, len(s))
	for d := time.Duration(0); len(edges) < len(s); d++ {
		d = s.Edge(d)
		edges = append(edges, uint32(d/(100*time.Millisecond)))
	}
	return edges
}
