package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tcpvet/tcpvet/capture"
)

// MaxPacket is the most bytes of one packet that a recording may hold: what
// tcpdump -s 0 keeps. A record that claims more is taken for damage.
const MaxPacket = 262144

// Options is how to read a recording.
type Options struct {
	// Checksums has TCP checksums verified.
	Checksums bool

	// Services gives the port of a TCP service, for names in tcpdump's text
	// that are not among the usual ones, which are built in. It may be nil.
	Services func(name string) (port uint16, ok bool)

	// Zone is where the clock stood that tcpdump -tttt printed. nil is UTC.
	Zone *time.Location
}

// Stats is what was read so far.
type Stats struct {
	// Packets is how many there were. Each is counted once more below.
	Packets   uint64
	TCP       uint64 // those that Next gave
	Other     uint64 // not TCP, or of a link type that is not read
	Fragments uint64 // without a TCP header, as it is in the first fragment
	Short     uint64 // of which the TCP header was not captured, or not printed
	Malformed uint64

	// Lines is how many lines of text told no packet: prose, hex dumps,
	// tcpdump's own messages.
	Lines uint64

	// Forgotten is how many conversations of tcpdump's text were given up
	// because there were too many at once: relative numbers that came later
	// were not made absolute.
	Forgotten uint64

	// Trouble is the first thing that was passed over because it could not be
	// read, and where. It is empty where there was none.
	Trouble string
}

// Clock is what the times of a recording count from.
type Clock uint8

// The clocks.
const (
	NoClock       Clock = iota // no times at all: every At is 0
	SinceFirst                 // from the first packet
	SinceMidnight              // from the midnight before the first packet
	Since1970                  // dated
)

// Reader reads a recording.
type Reader struct {
	from       source
	format     string
	compressed bool
	close      func()
	stats      Stats
	ended      error
	decoder    capture.Decoder
}

// source is one format. Its next fills s, in what the verdict makes it mean.
type source interface {
	next(s *capture.Segment) (capture.Verdict, error)
	snapLen() uint32
	clock() Clock
}

// ErrUnknown is the cause where a file is not in a format that is read.
var ErrUnknown = errors.New("it is neither pcap nor pcapng, plain or compressed with gzip or zstd, nor text that tcpdump printed")

// errEmpty tells of a file without a byte.
var errEmpty = errors.New("it is empty: was anything captured?")

// CutError says where a recording ended before its end, and why.
type CutError struct {
	// Offset is the byte at which the record or block begins that could not
	// be read, from 0. In a compressed file it counts what came out.
	Offset     int64
	Compressed bool
	Line       uint64 // of text, from 1; 0 for the other formats
	Packet     uint64 // how many packets were read before
	Err        error
}

func (e *CutError) Error() string {
	where := fmt.Sprintf("byte %d", e.Offset)
	if e.Compressed {
		where = "uncompressed " + where
	}
	if e.Line > 0 {
		where = fmt.Sprintf("line %d", e.Line)
	}
	return fmt.Sprintf("read recording: stopped at %s, after %d packets: %v", where, e.Packet, e.Err)
}

// Unwrap gives the cause; io.ErrUnexpectedEOF where the file was cut.
func (e *CutError) Unwrap() error { return e.Err }

// Open finds out what a recording is and reads its head. Its errors wrap
// ErrUnknown where it is none.
func Open(r io.Reader, o Options) (*Reader, error) {
	w := newWindow(r)
	read := &Reader{decoder: capture.Decoder{Checksums: o.Checksums}, close: func() {}}
	compression, err := unwrap(&w, &read.close)
	if err != nil {
		read.close()
		return nil, fmt.Errorf("open recording: %w", err)
	}
	if err := read.recognise(w, o); err != nil {
		read.close()
		return nil, fmt.Errorf("open recording: %w", err)
	}
	read.format, read.compressed = read.format+compression, compression != ""
	return read, nil
}

// recognise chooses the format by the first bytes.
func (r *Reader) recognise(w *window, o Options) error {
	head, err := w.peek(4)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return errEmpty
	case len(head) < 4 && !errors.Is(err, io.EOF):
		return w.cut(0, 0, err)
	}
	if p, ok := pcapOf(head); ok {
		p.in, p.reader = w, r
		if err := p.header(); err != nil {
			return err
		}
		r.from, r.format = p, p.format()
		return nil
	}
	if bytes.Equal(head, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		p := &pcapng{in: w, reader: r}
		if err := p.begin(); err != nil {
			return err
		}
		r.from, r.format = p, "pcapng"
		return nil
	}
	if !looksLikeText(w.waiting()) {
		return ErrUnknown
	}
	r.from, r.format = newText(w, o, &r.stats), "tcpdump text"
	return nil
}

// Next reads the next TCP segment into s. Its error is io.EOF at a sound end,
// and a *CutError where the rest cannot be read; then it stays.
func (r *Reader) Next(s *capture.Segment) error {
	for r.ended == nil {
		verdict, err := r.from.next(s)
		if err != nil {
			r.ended = err
			break
		}
		r.stats.Packets++
		switch verdict {
		case capture.IsTCP:
			r.stats.TCP++
			s.Frame = r.stats.Packets
			return nil
		case capture.NotTCP, capture.UnknownLink:
			r.stats.Other++
		case capture.LaterFragment:
			r.stats.Fragments++
		case capture.Short:
			r.stats.Short++
		default:
			r.stats.Malformed++
			if r.stats.Trouble == "" {
				r.stats.Trouble = fmt.Sprintf("packet %d: its headers contradict themselves", r.stats.Packets)
			}
		}
	}
	return r.ended
}

// Stats gives the counts so far.
func (r *Reader) Stats() Stats { return r.stats }

// Format names what the recording is: "pcap, nanoseconds, big-endian, gzip".
func (r *Reader) Format() string { return r.format }

// Plain tells whether it is pcap or pcapng, and not compressed: what other
// programs read as it stands.
func (r *Reader) Plain() bool {
	_, printed := r.from.(*text)
	return !printed && !r.compressed
}

// SnapLen is the most bytes of a packet that were to be kept; 0 where the
// recording does not say. Of several interfaces it is the longest so far.
func (r *Reader) SnapLen() uint32 { return r.from.snapLen() }

// Clock is what At counts from, as far as is known after what was read.
func (r *Reader) Clock() Clock { return r.from.clock() }

// Dated tells whether At counts from 1970.
func (r *Reader) Dated() bool { return r.Clock() == Since1970 }

// Close lets go of decompressors. It does not close what Open was given.
func (r *Reader) Close() { r.close() }

// trouble keeps the first thing that was passed over.
func (r *Reader) trouble(format string, a ...any) {
	if r.stats.Trouble == "" {
		r.stats.Trouble = fmt.Sprintf(format, a...)
	}
}
