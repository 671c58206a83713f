package recording

import (
	"errors"
	"fmt"

	"github.com/tcpvet/tcpvet/capture"
)

// Options of an interface's description that are read
// (draft-ietf-opsawg-pcapng section 4.2).
const (
	optionEnd        = 0
	optionResolution = 9
	optionOffset     = 14
)

var (
	errShortBlock  = errors.New("a block is too short for what it should hold: the file is damaged there")
	errNoInterface = errors.New("a packet is of an interface that was not described: the file is damaged there")
	errInterfaces  = fmt.Errorf("it describes more than %d interfaces", maxInterfaces)
)

// describe reads an interface's description.
func (p *pcapng) describe(b []byte) error {
	if len(b) < 8 {
		return errShortBlock
	}
	if p.before+len(p.interfaces) >= maxInterfaces {
		return errInterfaces
	}
	in := ngInterface{
		link:  capture.LinkType(p.order.Uint16(b)),
		snap:  p.order.Uint32(b[4:]),
		clock: resolution{exponent: 6},
	}
	p.longest = max(p.longest, in.snap)
	for b = b[8:]; len(b) >= 4; {
		kind, size := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		b = b[4:]
		if kind == optionEnd {
			break
		}
		if size > len(b) {
			return errShortBlock
		}
		switch {
		case kind == optionResolution && size == 1:
			in.clock.binary, in.clock.exponent = b[0]&0x80 != 0, b[0]&0x7f
		case kind == optionOffset && size == 8:
			in.clock.offset = int64(p.order.Uint64(b))
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	if !in.link.Known() {
		p.reader.trouble("interface %d: packets of %s are not read", p.before+len(p.interfaces), in.link)
	}
	p.interfaces = append(p.interfaces, in)
	return nil
}

// packet reads a block that holds a packet.
func (p *pcapng) packet(kind uint32, b []byte, s *capture.Segment) (capture.Verdict, error) {
	var number, wire, kept int
	var units uint64
	timed := true
	switch {
	case kind == blockSimple && len(b) >= 4:
		if len(p.interfaces) == 0 {
			return 0, errNoInterface
		}
		wire = wireLen(p.order.Uint32(b))
		kept, b = wire, b[4:]
		if snap := p.interfaces[0].snap; snap > 0 {
			kept = min(kept, wireLen(snap))
		}
		timed = false
	case kind == blockSimple, len(b) < 20:
		return 0, errShortBlock
	default:
		number = int(p.order.Uint32(b))
		if kind == blockPacket {
			number = int(p.order.Uint16(b)) // and a count of drops
		}
		units = uint64(p.order.Uint32(b[4:]))<<32 | uint64(p.order.Uint32(b[8:]))
		kept, wire = wireLen(p.order.Uint32(b[12:])), wireLen(p.order.Uint32(b[16:]))
		b = b[20:]
	}
	if number >= len(p.interfaces) {
		return 0, errNoInterface
	}
	if kept > len(b) || kept > MaxPacket {
		return 0, errShortBlock
	}
	in := &p.interfaces[number]
	if timed {
		p.last = in.clock.nanoseconds(units)
	}
	// A packet without a time passed when the one before it did, for all
	// that is known.
	s.At, s.Interface = p.last, p.before+number
	return p.reader.decoder.Decode(in.link, b[:kept], wire, s), nil
}
