package report

import (
	"strconv"

	"github.com/tcpvet/tcpvet/capture"
)

// headerFlags are the control bits as they stand in the header.
var headerFlags = [...]struct {
	flag capture.Flags
	name string
}{
	{capture.AE, "AE"}, {capture.CWR, "CWR"}, {capture.ECE, "ECE"}, {capture.URG, "URG"}, {capture.ACK, "ACK"},
	{capture.PSH, "PSH"}, {capture.RST, "RST"}, {capture.SYN, "SYN"}, {capture.FIN, "FIN"},
}

// fieldWidth is that of the names in a block, which stand four blanks in.
const fieldWidth = 23

// appendHeader appends the fields of a TCP header by their names in RFC 9293
// section 3.1, a line for each.
func appendHeader(b []byte, s *capture.Segment, from, to uint32) []byte {
	b = strconv.AppendUint(appendName(b, "source port"), uint64(s.Src.Port()), 10)
	b = strconv.AppendUint(appendName(b, "destination port"), uint64(s.Dst.Port()), 10)
	b = appendName(b, "sequence number")
	if s.NoSeq {
		b = append(b, "not printed; next is "...)
	}
	b = appendNumber(b, s.Seq, from)
	b = appendNumber(appendName(b, "acknowledgment number"), s.Ack, to)
	if !s.Flags.Has(capture.ACK) {
		b = append(b, ", means nothing without ACK"...)
	}
	b = appendName(b, "data offset")
	if options := len(s.Options.Raw); s.Printed {
		b = append(b, "not printed"...)
	} else if s.Cut {
		b = append(b, "not captured whole"...)
	} else {
		words := (20 + options) / 4
		b = strconv.AppendInt(b, int64(words), 10)
		b = strconv.AppendInt(append(b, " words, "...), int64(4*words), 10)
		b = append(b, " bytes of header"...)
	}
	b = appendName(b, "reserved")
	if s.Printed {
		b = append(b, "not printed"...)
	} else {
		b = strconv.AppendUint(b, uint64(s.Reserved), 10)
	}
	b = appendName(b, "control bits")
	for i, f := range headerFlags {
		if i > 0 {
			b = append(b, "  "...)
		}
		b = append(append(b, f.name...), ' ')
		if s.Flags.Has(f.flag) {
			b = append(b, '1')
		} else {
			b = append(b, '0')
		}
	}
	b = strconv.AppendUint(appendName(b, "window"), uint64(s.Window), 10)
	if !s.Flags.Has(capture.SYN) {
		b = append(b, ", not shifted by the window scale"...)
	}
	b = appendName(b, "checksum")
	if !s.Printed {
		b = append(appendHex(append(b, "0x"...), []byte{byte(s.Sum >> 8), byte(s.Sum)}), ", "...)
	}
	b = append(b, s.Checksum.String()...)
	b = strconv.AppendUint(appendName(b, "urgent pointer"), uint64(s.Urgent), 10)
	if !s.Flags.Has(capture.URG) {
		b = append(b, ", means nothing without URG"...)
	}
	b = appendOptionLines(b, s, to)
	b = strconv.AppendInt(appendName(b, "data"), int64(s.Len), 10)
	return append(b, " bytes"...)
}

// appendName begins a line.
func appendName(b []byte, name string) []byte {
	b = append(append(b, "\n    "...), name...)
	for range max(fieldWidth-len(name), 1) {
		b = append(b, ' ')
	}
	return b
}

// appendNumber appends a sequence number, and what it is relative to base.
func appendNumber(b []byte, n, base uint32) []byte {
	b = strconv.AppendUint(b, uint64(n), 10)
	if base == 0 {
		return b
	}
	b = strconv.AppendUint(append(b, ", relative "...), uint64(n-base), 10)
	return b
}

// appendOptionLines appends a line for each option.
func appendOptionLines(b []byte, s *capture.Segment, base uint32) []byte {
	o := &s.Options
	if len(o.Raw) == 0 && o.Has != 0 {
		return appendPrinted(appendName(b, "options"), o, base)
	}
	for raw := o.Raw; len(raw) > 0; {
		kind, value, rest, ok := nextOption(raw)
		if !ok && !s.Cut {
			return append(appendName(b, "option"), "unsound, and all that follow it"...)
		}
		if !ok {
			break
		}
		b = appendOption(appendName(b, "option"), kind, value, base)
		b = append(b, ": "...)
		if name, known := optionNames[kind]; known {
			b = append(b, name.long...)
		} else {
			b = strconv.AppendUint(append(b, "kind "...), uint64(kind), 10)
		}
		if kind == optionEnd {
			return b
		}
		raw = rest
	}
	if s.Cut {
		b = append(appendName(b, "option"), "not captured"...)
	}
	return b
}
