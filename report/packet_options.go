package report

import (
	"encoding/binary"
	"strconv"

	"github.com/tcpvet/tcpvet/capture"
)

// The kinds of TCP options (IANA).
const (
	optionEnd           = 0
	optionNop           = 1
	optionMSS           = 2
	optionWScale        = 3
	optionSACKPermitted = 4
	optionSACK          = 5
	optionTimestamps    = 8
	optionFastOpen      = 34
	optionExperiment    = 254
)

// optionNames are tcpdump's, with RFC 9293's names and those of the documents
// in IANA's registry for the blocks.
var optionNames = map[byte]struct{ short, long string }{
	optionEnd: {"eol", "end of options"}, optionNop: {"nop", "no-operation"}, optionMSS: {"mss", "maximum segment size"}, optionWScale: {"wscale", "window scale"},
	optionSACKPermitted: {"sackOK", "SACK permitted"}, optionSACK: {"sack", "SACK"}, 6: {"echo", "echo"}, 7: {"echoreply", "echo reply"},
	optionTimestamps: {"TS", "timestamps"}, 11: {"cc", "CC"}, 12: {"ccnew", "CC.NEW"}, 13: {"ccecho", "CC.ECHO"}, 19: {"md5", "MD5 signature"}, 20: {"scps", "SCPS capabilities"},
	28: {"uto", "user timeout"}, 29: {"tcp-ao", "TCP-AO"}, 30: {"mptcp", "multipath TCP"}, optionFastOpen: {"tfo", "fast open cookie"}, optionExperiment: {"exp", "experiment"},
}

// nextOption takes the first option off raw. Where ok is false nothing more can
// be read.
func nextOption(raw []byte) (kind byte, value, rest []byte, ok bool) {
	kind = raw[0]
	if kind <= optionNop {
		return kind, nil, raw[1:], true
	}
	if len(raw) < 2 || raw[1] < 2 || int(raw[1]) > len(raw) {
		return kind, nil, nil, false
	}
	return kind, raw[2:raw[1]], raw[raw[1]:], true
}

// appendOptions appends what stands between the brackets. base is taken from
// the numbers of SACK blocks.
func appendOptions(b []byte, s *capture.Segment, base uint32) []byte {
	if len(s.Options.Raw) == 0 && !s.Cut {
		return appendPrinted(b, &s.Options, base)
	}
	start := len(b)
	for raw := s.Options.Raw; len(raw) > 0; {
		kind, value, rest, ok := nextOption(raw)
		if !ok && s.Cut {
			break
		}
		if len(b) > start {
			b = append(b, ',')
		}
		if !ok {
			return append(b, "[bad opt]"...)
		}
		b = appendOption(b, kind, value, base)
		if kind == optionEnd {
			return b
		}
		raw = rest
	}
	if s.Cut {
		b = append(b, "[|tcp]"...)
	}
	return b
}

// appendPrinted appends options of which only the values are known: they were
// read from text.
func appendPrinted(b []byte, o *capture.Options, base uint32) []byte {
	start := len(b)
	next := func(has capture.OptionSet, word string) bool {
		if o.Has&has == 0 {
			return false
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, word...)
		return true
	}
	if next(capture.HasMSS, "mss ") {
		b = strconv.AppendUint(b, uint64(o.MSS), 10)
	}
	next(capture.HasSACKPermitted, "sackOK")
	if next(capture.HasTimestamps, "TS") {
		b = appendStamps(b, o.TSVal, o.TSEcr)
	}
	if next(capture.HasWScale, "wscale ") {
		b = strconv.AppendUint(b, uint64(o.WScale), 10)
	}
	if next(capture.HasSACK, "sack ") {
		b = strconv.AppendInt(b, int64(o.NumSACK), 10)
		b = append(b, ' ')
		for _, block := range o.SACK[:o.NumSACK] {
			b = appendBlock(b, block.Left-base, block.Right-base)
		}
	}
	next(capture.HasFastOpen, "tfo")
	return b
}

// appendOption appends one option as tcpdump does. One that is not read is
// told in hexadecimal, and so is one of another length than its own.
func appendOption(b []byte, kind byte, value []byte, base uint32) []byte {
	name, known := optionNames[kind]
	switch {
	case kind == optionMSS && len(value) == 2:
		return strconv.AppendUint(append(b, "mss "...), uint64(binary.BigEndian.Uint16(value)), 10)
	case kind == optionWScale && len(value) == 1:
		return strconv.AppendUint(append(b, "wscale "...), uint64(value[0]), 10)
	case kind == optionTimestamps && len(value) == 8:
		return appendStamps(append(b, "TS"...), binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:]))
	case kind == optionSACK && len(value) > 0 && len(value)%8 == 0:
		b = strconv.AppendInt(append(b, "sack "...), int64(len(value)/8), 10)
		b = append(b, ' ')
		for ; len(value) > 0; value = value[8:] {
			b = appendBlock(b, binary.BigEndian.Uint32(value)-base, binary.BigEndian.Uint32(value[4:])-base)
		}
		return b
	case kind == optionFastOpen:
		return appendCookie(append(b, "tfo  "...), value)
	case kind == optionExperiment && len(value) >= 2 && value[0] == 0xf9 && value[1] == 0x89: // RFC 7413 section 4.1.1
		return appendCookie(append(b, "exp-tfo "...), value[2:])
	case known:
		b = append(b, name.short...)
	default:
		b = strconv.AppendUint(append(b, "unknown-"...), uint64(kind), 10)
	}
	if len(value) > 0 {
		b = appendHex(append(b, " 0x"...), value)
	}
	return b
}

func appendStamps(b []byte, val, ecr uint32) []byte {
	b = strconv.AppendUint(append(b, " val "...), uint64(val), 10)
	return strconv.AppendUint(append(b, " ecr "...), uint64(ecr), 10)
}

func appendBlock(b []byte, left, right uint32) []byte {
	b = strconv.AppendUint(append(b, '{'), uint64(left), 10)
	b = strconv.AppendUint(append(b, ':'), uint64(right), 10)
	return append(b, '}')
}

func appendCookie(b, cookie []byte) []byte {
	if len(cookie) == 0 {
		return append(b, "cookiereq"...)
	}
	return appendHex(append(b, "cookie "...), cookie)
}

func appendHex(b, bytes []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range bytes {
		b = append(b, digits[c>>4], digits[c&0xf])
	}
	return b
}
