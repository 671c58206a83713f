package recording

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tcpvet/tcpvet/capture"
)

// Writer writes a pcap file with times in nanoseconds, little-endian, which
// tcpdump and wireshark read. It gathers its output: Flush it at the end.
type Writer struct {
	out    *bufio.Writer
	record [pcapRecordBytes]byte
	err    error
}

// NewWriter writes the head of a file of packets of one link type, of which at
// most snapLen bytes are kept; 0 stands for MaxPacket.
func NewWriter(w io.Writer, link capture.LinkType, snapLen uint32) (*Writer, error) {
	if snapLen == 0 {
		snapLen = MaxPacket
	}
	var h [pcapHeaderBytes]byte
	binary.LittleEndian.PutUint32(h[:], magicNano)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], snapLen)
	binary.LittleEndian.PutUint32(h[20:], uint32(link))
	out := &Writer{out: bufio.NewWriterSize(w, 1<<16)}
	if _, err := out.out.Write(h[:]); err != nil {
		return nil, fmt.Errorf("write pcap header: %w", err)
	}
	return out, nil
}

// Write writes one packet: when it passed, in nanoseconds since 1970, what was
// kept of it, and how long it was on the wire. The format ends in the year
// 2106. After an error nothing more is written, and each call returns it.
func (w *Writer) Write(at int64, packet []byte, wireLen int) error {
	if w.err != nil {
		return w.err
	}
	if at < 0 || at/1e9 > 1<<32-1 || len(packet) > MaxPacket {
		w.err = fmt.Errorf("write packet: a time of %d ns or a length of %d bytes does not fit into a pcap file", at, len(packet))
		return w.err
	}
	binary.LittleEndian.PutUint32(w.record[:], uint32(at/1e9))
	binary.LittleEndian.PutUint32(w.record[4:], uint32(at%1e9))
	binary.LittleEndian.PutUint32(w.record[8:], uint32(len(packet)))
	binary.LittleEndian.PutUint32(w.record[12:], uint32(max(wireLen, len(packet))))
	if _, err := w.out.Write(w.record[:]); err != nil {
		w.err = fmt.Errorf("write packet: %w", err)
	} else if _, err := w.out.Write(packet); err != nil {
		w.err = fmt.Errorf("write packet: %w", err)
	}
	return w.err
}

// Flush writes what was gathered.
func (w *Writer) Flush() error {
	if w.err == nil {
		if err := w.out.Flush(); err != nil {
			w.err = fmt.Errorf("write packets: %w", err)
		}
	}
	return w.err
}
