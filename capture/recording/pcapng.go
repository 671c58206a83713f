package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tcpvet/tcpvet/capture"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng section 4). Others are passed
// over.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
)

const (
	byteOrderMagic = 0x1a2b3c4d
	// maxInterfaces bounds the table of one file.
	maxInterfaces = 1 << 16
	// The least and the most bytes of a block that is read: the most of a
	// packet and generous comments.
	minBlock = 12
	maxBlock = MaxPacket + 1<<18
)

// pcapng reads a pcapng file.
type pcapng struct {
	in         *window
	reader     *Reader
	order      binary.ByteOrder
	interfaces []ngInterface // of this section
	before     int           // interfaces of earlier sections
	longest    uint32        // snapshot length
	last       int64         // time of the last packet that had one
}

// ngInterface is an interface that a section describes.
type ngInterface struct {
	link  capture.LinkType
	snap  uint32
	clock resolution
}

var (
	errBlockLength = errors.New("the length of a block is impossible: the file is damaged there")
	errTrailer     = errors.New("the two lengths of a block differ: the file is damaged there")
	errByteOrder   = errors.New("a section tells no byte order: the file is damaged there")
)

// begin reads the first section's header.
func (p *pcapng) begin() error {
	_, err := p.block(new(capture.Segment))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// next reads blocks up to and with a packet.
func (p *pcapng) next(s *capture.Segment) (capture.Verdict, error) {
	for {
		verdict, err := p.block(s)
		if err != nil {
			return 0, err
		}
		if verdict != noPacket {
			return verdict, nil
		}
	}
}

// noPacket is the verdict on a block that holds none.
const noPacket = capture.Verdict(255)

// block reads one block.
func (p *pcapng) block(s *capture.Segment) (capture.Verdict, error) {
	at := p.in.offset
	h, err := p.in.peek(8)
	if err != nil {
		if len(h) == 0 && err == io.EOF {
			return 0, io.EOF
		}
		return 0, p.cut(at, err)
	}
	// A section's type reads the same both ways, and its order holds for its
	// own header.
	if binary.LittleEndian.Uint32(h) == blockSection {
		if err := p.section(); err != nil {
			return 0, p.cut(at, err)
		}
		h, _ = p.in.peek(8)
	}
	kind, size := p.order.Uint32(h), p.order.Uint32(h[4:])
	if size < minBlock || size%4 != 0 {
		return 0, p.cut(at, errBlockLength)
	}
	switch kind {
	case blockInterface, blockEnhanced, blockPacket, blockSimple:
	default:
		if err := p.pass(size); err != nil {
			return 0, p.cut(at, err)
		}
		return noPacket, nil
	}
	if size > maxBlock {
		return 0, p.cut(at, fmt.Errorf("a block claims %d bytes, and of this type none has more than %d: the file is damaged there", size, maxBlock))
	}
	b, err := p.in.peek(int(size))
	if err != nil {
		return 0, p.cut(at, err)
	}
	if p.order.Uint32(b[size-4:]) != size {
		return 0, p.cut(at, errTrailer)
	}
	verdict, body := noPacket, b[8:size-4]
	if kind == blockInterface {
		err = p.describe(body)
	} else {
		verdict, err = p.packet(kind, body, s)
	}
	if err != nil {
		return 0, p.cut(at, err)
	}
	p.in.take(int(size))
	return verdict, nil
}

// section reads the order of the bytes of a section, without taking them.
func (p *pcapng) section() error {
	h, err := p.in.peek(12)
	if err != nil {
		return err
	}
	switch {
	case binary.LittleEndian.Uint32(h[8:]) == byteOrderMagic:
		p.order = binary.LittleEndian
	case binary.BigEndian.Uint32(h[8:]) == byteOrderMagic:
		p.order = binary.BigEndian
	default:
		return errByteOrder
	}
	p.before += len(p.interfaces)
	p.interfaces = p.interfaces[:0]
	return nil
}

// pass takes a block unseen but for its second length.
func (p *pcapng) pass(size uint32) error {
	if err := p.in.skip(int64(size) - 4); err != nil {
		return err
	}
	b, err := p.in.peek(4)
	if err != nil {
		return err
	}
	if p.order.Uint32(b) != size {
		return errTrailer
	}
	p.in.take(4)
	return nil
}

func (p *pcapng) cut(at int64, err error) error {
	return p.in.cut(at, p.reader.stats.Packets, err)
}

func (p *pcapng) snapLen() uint32 { return p.longest }
func (p *pcapng) clock() Clock    { return Since1970 }
