package recording

import (
	"bytes"
	"errors"
	"io"

	"github.com/tcpvet/tcpvet/capture"
)

const (
	// lookAhead is how much of a text is looked at before the first line is
	// read, in bytes: it tells tcpdump -ttt from -ttttt.
	lookAhead = 1 << 16
	// maxLine is how much of a line is looked at, in bytes. The longest that
	// tcpdump prints with -vvv are a few kilobytes.
	maxLine = 1 << 15
)

// What can be wrong with a text as a whole.
var (
	// ErrNoPacket is the cause where no line tells a packet.
	ErrNoPacket = errors.New("it is neither pcap nor pcapng, and no line of it is one that tcpdump prints of a packet")

	errQuiet = errors.New("tcpdump -q prints neither flags nor numbers: print again without -q; read are -n, -S, -t, -tt, -ttt, -tttt, -ttttt, -e, -v and names")
)

// text reads the lines that tcpdump printed.
type text struct {
	in      *window
	options Options
	stats   *Stats
	times   times
	ends    ends
	numbers numbers
	links   map[string]int // interfaces, in the order of their first packets

	line    uint64 // number of the current line, from 1
	held    bool   // the current line is to be read again
	current []byte
	cut     bool // the current line has no end: it is the last
	header  header
	quiet   bool // a line of -q was seen
}

// header is what the first of the two lines told that tcpdump -v prints of an
// IPv4 packet.
type header struct {
	open     bool // its second line is to come
	at       int64
	link     int
	tcp      bool
	later    bool // fragment
	fragment bool // first fragment
	tos, ttl uint8
	id       uint16
}

// looksLikeText tells whether a file may be text: it has no zero byte, nor
// others that no text has.
func looksLikeText(start []byte) bool {
	for _, c := range start[:min(len(start), 4096)] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b {
			return false
		}
	}
	return true
}

func newText(w *window, o Options, stats *Stats) *text {
	// Of a pipe no more is waited for than is needed.
	start := w.waiting()
	first, sure := timesOf(start, o.Zone)
	for !sure && len(start) < lookAhead && w.err == nil {
		w.fill()
		if n := len(w.waiting()); n >= 2*len(start) || n >= lookAhead || w.err != nil {
			start = w.waiting()
			first, sure = timesOf(start, o.Zone)
		}
	}
	return &text{
		in:      w,
		options: o,
		stats:   stats,
		times:   first,
		ends:    ends{services: o.Services, known: map[string]end{}},
		numbers: numbers{threads: map[tuple]*thread{}, stats: stats},
		links:   map[string]int{},
	}
}

// next reads lines up to one that tells a packet.
func (x *text) next(s *capture.Segment) (capture.Verdict, error) {
	for {
		if err := x.read(); err != nil {
			if x.header.open { // and its second line is missing
				x.header.open = false
				return x.header.alone(), nil
			}
			return 0, x.end(err)
		}
		line := bytes.TrimRight(x.current, " \t\r")
		verdict, ok := x.packet(line, s)
		switch {
		case !ok && !x.header.open:
			x.stats.Lines++
		case ok && x.cut && (verdict == capture.Malformed || verdict == capture.Short && !x.quiet):
			return 0, x.end(io.ErrUnexpectedEOF)
		case ok:
			return verdict, nil
		}
	}
}

// end says how reading ends.
func (x *text) end(err error) error {
	switch {
	case err == io.EOF && x.quiet && x.stats.TCP == 0:
		err = errQuiet
	case err == io.EOF && x.stats.Packets == 0:
		err = ErrNoPacket
	case err == io.EOF:
		return io.EOF
	}
	return &CutError{Offset: x.in.offset, Compressed: x.in.compressed, Line: max(x.line, 1), Packet: x.stats.Packets, Err: err}
}

// read makes the next line current, without its end. Of a line that is too long
// it is the beginning.
func (x *text) read() error {
	if x.held {
		x.held = false
		return nil
	}
	searched := 0
	for {
		b := x.in.waiting()
		b = b[:min(len(b), maxLine)]
		if n := bytes.IndexByte(b[searched:], '\n'); n >= 0 {
			n += searched
			x.line, x.current, x.cut = x.line+1, b[:n], false
			x.in.take(n + 1)
			return nil
		}
		searched = len(b)
		if len(b) < maxLine && x.in.err == nil {
			x.in.fill()
			continue
		}
		if len(b) == 0 {
			return x.in.err
		}
		x.line, x.cut = x.line+1, len(b) < maxLine
		if x.cut && x.in.err != io.EOF {
			return x.in.err
		}
		if x.cut {
			x.current = b
			x.in.take(len(b))
			return nil
		}
		x.current = bytes.Clone(b) // what follows takes its place
		x.in.take(len(b))
		return x.skipLine()
	}
}

// skipLine takes what is left of a line.
func (x *text) skipLine() error {
	for {
		b := x.in.waiting()
		if n := bytes.IndexByte(b, '\n'); n >= 0 {
			x.in.take(n + 1)
			return nil
		}
		x.in.take(len(b))
		if x.in.err == io.EOF {
			return nil
		}
		if x.in.err != nil {
			return x.in.err
		}
		x.in.fill()
	}
}

func (x *text) snapLen() uint32 { return 0 }
func (x *text) clock() Clock    { return x.times.clock }
