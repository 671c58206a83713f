package recording

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tcpvet/tcpvet/capture"
)

// The first word of a pcap file (draft-ietf-opsawg-pcap section 4; libpcap's
// sf-pcap.c knows the third).
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // longer record headers, of a patched libpcap
)

// Lengths in a pcap file, in bytes.
const (
	pcapHeaderBytes   = 24
	pcapRecordBytes   = 16
	pcapModifiedBytes = 24
)

// pcap reads a pcap file.
type pcap struct {
	in     *window
	reader *Reader
	order  binary.ByteOrder
	big    bool
	magic  uint32
	unit   int64 // nanoseconds
	record int   // bytes of a record's header
	snap   uint32
	link   capture.LinkType
}

// pcapOf recognises the first four bytes of a pcap file.
func pcapOf(head []byte) (*pcap, bool) {
	if len(head) < 4 {
		return nil, false
	}
	p := &pcap{order: binary.LittleEndian, unit: 1000, record: pcapRecordBytes, magic: binary.LittleEndian.Uint32(head)}
	if head[0] == 0xa1 {
		p.order, p.big, p.magic = binary.BigEndian, true, binary.BigEndian.Uint32(head)
	}
	switch p.magic {
	case magicMicro:
	case magicNano:
		p.unit = 1
	case magicModified:
		p.record = pcapModifiedBytes
	default:
		return nil, false
	}
	return p, true
}

func (p *pcap) format() string {
	f := "pcap, microseconds"
	if p.magic == magicNano {
		f = "pcap, nanoseconds"
	}
	if p.big {
		f += ", big-endian"
	}
	return f
}

// header reads the head of the file.
func (p *pcap) header() error {
	h, err := p.in.peek(pcapHeaderBytes)
	if err != nil {
		return p.in.cut(0, 0, err)
	}
	if major := p.order.Uint16(h[4:]); major != 2 {
		return fmt.Errorf("pcap version %d.%d is not read, only version 2", major, p.order.Uint16(h[6:]))
	}
	p.snap = p.order.Uint32(h[16:])
	// The upper bits tell of a frame check sequence behind each packet.
	p.link = capture.LinkType(p.order.Uint32(h[20:]) & 0xffff)
	if !p.link.Known() {
		return fmt.Errorf("packets of %s are not read, only Ethernet, raw IP, loopback and Linux cooked ones", p.link)
	}
	p.in.take(pcapHeaderBytes)
	return nil
}

// next reads a record.
func (p *pcap) next(s *capture.Segment) (capture.Verdict, error) {
	at := p.in.offset
	h, err := p.in.peek(p.record)
	if err != nil {
		if len(h) == 0 && err == io.EOF {
			return 0, io.EOF
		}
		return 0, p.in.cut(at, p.reader.stats.Packets, err)
	}
	var seconds, fraction, kept, wire uint32
	if p.big {
		seconds, fraction = binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
		kept, wire = binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint32(h[12:])
	} else {
		seconds, fraction = binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:])
		kept, wire = binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	}
	if kept > MaxPacket {
		return 0, p.in.cut(at, p.reader.stats.Packets, fmt.Errorf("a record claims a packet of %d bytes, and none has more than %d: the file is damaged there", kept, MaxPacket))
	}
	size := p.record + int(kept)
	b, err := p.in.peek(size)
	if err != nil {
		return 0, p.in.cut(at, p.reader.stats.Packets, err)
	}
	p.in.take(size)
	s.At = int64(seconds)*1e9 + int64(fraction)*p.unit
	s.Interface = 0
	return p.reader.decoder.Decode(p.link, b[p.record:], wireLen(wire), s), nil
}

// wireLen bounds the length that a packet is said to have had: no packet is
// longer than 2^31-1 bytes, and a Decoder takes a lesser length than that of
// what was kept for that one.
func wireLen(n uint32) int { return int(min(n, 1<<31-1)) }

func (p *pcap) snapLen() uint32 { return p.snap }
func (p *pcap) clock() Clock    { return Since1970 }
