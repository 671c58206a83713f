package recording

import (
	"bytes"
	"math"

	"github.com/tcpvet/tcpvet/capture"
)

// printed is what a line tells of a segment besides what is in the Segment
// already, whose Seq, Ack and SACK are as printed.
type printed struct {
	seq bool // a sequence number was printed
}

// readTCP reads a line from behind "Flags [".
func readTCP(b []byte, s *capture.Segment) (t printed, v capture.Verdict) {
	end := bytes.IndexByte(b, ']')
	if end < 0 {
		return t, capture.Malformed
	}
	var ok bool
	if s.Flags, ok = readFlags(b[:end]); !ok {
		return t, capture.Malformed
	}
	b = b[end+1:]
	last := uint64(0) // the number behind the colon
	acked, window, length := false, false, false
	for len(b) > 0 && !length {
		var n uint64
		switch {
		case bytes.HasPrefix(b, []byte(", seq ")):
			n, b, ok = number(b[6:])
			s.Seq, t.seq, last = uint32(n), true, n
			if ok = ok && n <= math.MaxUint32; ok && len(b) > 0 && b[0] == ':' {
				last, b, ok = number(b[1:])
			}
		case bytes.HasPrefix(b, []byte(", ack ")):
			n, b, ok = number(b[6:])
			s.Ack, acked, ok = uint32(n), true, ok && n <= math.MaxUint32
		case bytes.HasPrefix(b, []byte(", win ")):
			n, b, ok = number(b[6:])
			s.Window, window, ok = uint16(n), true, ok && n <= math.MaxUint16
		case bytes.HasPrefix(b, []byte(", urg ")):
			n, b, ok = number(b[6:])
			s.Urgent, ok = uint16(n), ok && n <= math.MaxUint16
		case bytes.HasPrefix(b, []byte(", cksum 0x")):
			b, ok = readChecksum(b, s)
		case bytes.HasPrefix(b, []byte(", options [")):
			b, ok = readOptions(b[11:], s)
		case bytes.HasPrefix(b, wordLength):
			n, b, ok = number(b[len(wordLength):])
			s.Len, length, ok = int(min(n, math.MaxInt32)), true, ok && n <= math.MaxInt32
		case bytes.HasPrefix(bytes.TrimLeft(b, " "), wordTruncated):
			b, ok = nil, true
		default:
			ok = false
		}
		if !ok {
			return t, capture.Malformed
		}
	}
	switch {
	case !window || acked != s.Flags.Has(capture.ACK):
		return t, capture.Short
	case !length && !s.Cut:
		return t, capture.Short
	case !length: // the range tells it
		s.Len = int(uint32(last) - s.Seq)
		if !t.seq {
			s.Len = 0
		}
		if s.Len > MaxPacket {
			return t, capture.Malformed
		}
	}
	return t, capture.IsTCP
}

// readFlags reads the letters of flags.
func readFlags(b []byte) (f capture.Flags, ok bool) {
	if string(b) == "none" {
		return 0, true
	}
	for _, c := range b {
		switch c {
		case 'F':
			f |= capture.FIN
		case 'S':
			f |= capture.SYN
		case 'R':
			f |= capture.RST
		case 'P':
			f |= capture.PSH
		case '.':
			f |= capture.ACK
		case 'U':
			f |= capture.URG
		case 'E':
			f |= capture.ECE
		case 'W':
			f |= capture.CWR
		case 'e':
			f |= capture.AE
		default:
			return 0, false
		}
	}
	return f, len(b) > 0
}

// readChecksum reads ", cksum 0x1a2b (correct)".
func readChecksum(b []byte, s *capture.Segment) (rest []byte, ok bool) {
	b = b[len(", cksum 0x"):]
	for len(b) > 0 && b[0] != ' ' && b[0] != ',' {
		b = b[1:]
	}
	if !bytes.HasPrefix(b, []byte(" (")) {
		return b, true
	}
	end := bytes.IndexByte(b, ')')
	switch {
	case end < 0:
		return nil, false
	case string(b[2:end]) == "correct":
		s.Checksum = capture.Right
	case bytes.HasPrefix(b[2:end], []byte("incorrect")):
		s.Checksum = capture.Wrong
	}
	return b[end+1:], true
}

// readOptions reads options from behind the bracket. They end at the first
// bracket that the length follows; an option may have brackets of its own.
func readOptions(b []byte, s *capture.Segment) (rest []byte, ok bool) {
	end := bytes.Index(b, []byte("], length "))
	if end < 0 {
		if end = bytes.Index(b, wordTruncated); end < 0 {
			return nil, false
		}
		s.Cut = true
		b, rest = b[:end], nil
	} else {
		b, rest = b[:end], b[end+1:]
	}
	o := &s.Options
	for len(b) > 0 {
		var one []byte
		if one, b, _ = bytes.Cut(b, []byte(",")); s.Cut && len(b) == 0 {
			break // the one that was cut
		}
		readOption(one, o)
	}
	return rest, true
}

// readOption reads one option.
func readOption(b []byte, o *capture.Options) {
	var n, m uint64
	var ok bool
	switch {
	case bytes.HasPrefix(b, []byte("TS val ")):
		n, b, ok = number(b[7:])
		if ok && bytes.HasPrefix(b, []byte(" ecr ")) {
			m, _, ok = number(b[5:])
			if ok && n <= math.MaxUint32 && m <= math.MaxUint32 {
				o.TSVal, o.TSEcr, o.Has = uint32(n), uint32(m), o.Has|capture.HasTimestamps
			}
		}
	case bytes.HasPrefix(b, []byte("mss ")):
		if n, _, ok = number(b[4:]); ok && n <= math.MaxUint16 {
			o.MSS, o.Has = uint16(n), o.Has|capture.HasMSS
		}
	case bytes.HasPrefix(b, []byte("wscale ")):
		if n, _, ok = number(b[7:]); ok && n <= math.MaxUint8 {
			o.WScale, o.Has = uint8(n), o.Has|capture.HasWScale
		}
	case string(b) == "sackOK":
		o.Has |= capture.HasSACKPermitted
	case bytes.HasPrefix(b, []byte("sack ")):
		readSACK(b, o)
	case bytes.HasPrefix(b, []byte("tfo ")), bytes.HasPrefix(b, []byte("exp-tfo ")):
		o.Has |= capture.HasFastOpen
	}
}

// readSACK reads "sack 2 {1:2}{3:4}".
func readSACK(b []byte, o *capture.Options) {
	o.NumSACK = 0
	for o.NumSACK < len(o.SACK) {
		i := bytes.IndexByte(b, '{')
		if i < 0 {
			break
		}
		left, rest, ok := number(b[i+1:])
		if !ok || len(rest) == 0 || rest[0] != ':' || left > math.MaxUint32 {
			return
		}
		right, rest, ok := number(rest[1:])
		if !ok || right > math.MaxUint32 {
			return
		}
		o.SACK[o.NumSACK] = capture.Block{Left: uint32(left), Right: uint32(right)}
		o.NumSACK++
		o.Has |= capture.HasSACK
		b = rest
	}
}
