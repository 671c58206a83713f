package recording

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/tcpvet/tcpvet/capture"
)

// Words of tcpdump's lines.
var (
	wordFlags     = []byte(": Flags [")
	wordArrow     = []byte(" > ")
	wordQuiet     = []byte(": tcp ")
	wordLater     = []byte(": tcp")
	wordLaterToo  = []byte(": ip-proto-6") // with -n
	wordTruncated = []byte("[|tcp]")
	wordBad       = []byte("[bad hdr length")
	wordTOS       = []byte("(tos 0x")
	wordTCP       = []byte("proto TCP (6)")
	wordLength    = []byte(", length ")
)

// otherKind is the trouble with excerpts of several tcpdumps in one text.
const otherKind = "its time is of another kind than that of the first packet: read each excerpt on its own"

// packet reads a line. ok is false where it tells no packet, or half of one.
func (x *text) packet(line []byte, s *capture.Segment) (v capture.Verdict, ok bool) {
	stamp, rest := cutStamp(bytes.TrimLeft(line, " \t"))
	flags := bytes.Index(rest, wordFlags)
	second := x.header.open && stamp.kind == noStamp && len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
	if x.header.open && !second {
		x.header.open, x.held = false, true
		return x.header.alone(), true
	}
	if flags < 0 {
		return x.other(stamp, rest, second)
	}
	head := rest[:flags]
	if !second && stamp.kind == noStamp && !namesIP(head) {
		return 0, false
	}
	arrow := bytes.LastIndex(head, wordArrow)
	if arrow < 0 {
		return 0, false
	}
	src, dst := head[:arrow], head[arrow+len(wordArrow):]
	before := src[:max(bytes.LastIndexByte(src, ' '), 0)]
	src = src[bytes.LastIndexByte(src, ' ')+1:]
	*s = capture.Segment{Printed: true}
	if second {
		x.header.open = false
		s.At, s.Interface, s.Fragment = x.header.at, x.header.link, x.header.fragment
		s.TOS, s.TTL, s.IPID = x.header.tos, x.header.ttl, x.header.id
	} else {
		if s.At, ok = x.times.at(stamp); !ok {
			return x.trouble(otherKind)
		}
		s.Interface = x.link(before)
		readHopLimit(before, s)
	}
	var err error
	if s.Src, err = x.ends.of(src); err == nil {
		s.Dst, err = x.ends.of(dst)
	}
	if err != nil {
		return x.trouble(err.Error())
	}
	t, verdict := readTCP(rest[flags+len(wordFlags):], s)
	switch verdict {
	case capture.IsTCP:
		x.numbers.restore(&t, s)
	case capture.Malformed:
		return x.trouble("it is not as tcpdump prints a segment")
	}
	return verdict, true
}

// other reads a line without flags.
func (x *text) other(stamp stamp, rest []byte, second bool) (v capture.Verdict, ok bool) {
	arrow := bytes.Contains(rest, wordArrow)
	switch {
	case second:
		x.header.open = false
		if !x.header.tcp {
			return capture.NotTCP, true
		}
		if x.header.later {
			return capture.LaterFragment, true
		}
	case firstOfTwo(rest) && (stamp.kind != noStamp || namesIP(rest)):
		if x.header, ok = x.readHeader(stamp, rest); !ok {
			return x.trouble(otherKind)
		}
		return 0, false
	case stamp.kind == noStamp:
		if !(arrow && namesIP(rest)) && !bytes.HasPrefix(rest, []byte("ARP, ")) {
			return 0, false
		}
	case !arrow && !bytes.Contains(rest, wordLength) && !bytes.Contains(rest, wordTruncated):
		return 0, false // a line of some log
	}
	if _, ok := x.times.at(stamp); !ok && !second {
		return x.trouble(otherKind)
	}
	switch {
	case bytes.Contains(rest, wordTruncated):
		return capture.Short, true
	case bytes.Contains(rest, wordBad):
		return capture.Malformed, true
	case bytes.HasSuffix(rest, wordLater), bytes.HasSuffix(rest, wordLaterToo):
		return capture.LaterFragment, true
	}
	if i := bytes.Index(rest, wordQuiet); i >= 0 {
		if n := rest[i+len(wordQuiet):]; len(n) > 0 && isDigit(n[0]) {
			x.quiet = true
			return capture.Short, true
		}
	}
	return capture.NotTCP, true
}

// firstOfTwo tells whether a line ends with an IPv4 header.
func firstOfTwo(rest []byte) bool {
	tos := bytes.LastIndex(rest, wordTOS)
	return tos >= 0 && rest[len(rest)-1] == ')' && !bytes.Contains(rest[tos:], wordArrow)
}

// trouble makes a verdict of a line that could not be read.
func (x *text) trouble(why string) (capture.Verdict, bool) {
	if x.stats.Trouble == "" {
		x.stats.Trouble = fmt.Sprintf("line %d: %s", x.line, why)
	}
	return capture.Malformed, true
}

// namesIP tells whether a line without a time begins as those of IP packets.
func namesIP(head []byte) bool {
	for _, word := range beginnings {
		if bytes.HasPrefix(head, word) {
			return true
		}
	}
	return nameOfLink(head) != nil || bytes.Contains(head, []byte(", ethertype IPv"))
}

var beginnings = [][]byte{[]byte("IP "), []byte("IP6 "), []byte("ip: ")}

// nameOfLink gives the interface that stands before "In" or "Out" in a capture
// of all of them, nil where none stands there.
func nameOfLink(before []byte) []byte {
	name, rest, _ := bytes.Cut(before, []byte(" "))
	way, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	switch string(way) {
	case "In", "Out", "B", "M", "P":
		return name
	}
	return nil
}

// readHeader reads the first line of two.
func (x *text) readHeader(stamp stamp, rest []byte) (h header, ok bool) {
	if h.at, ok = x.times.at(stamp); !ok {
		return h, false
	}
	h.open, h.tcp = true, bytes.Contains(rest, wordTCP)
	tos := bytes.Index(rest, wordTOS)
	h.link = x.link(rest[:tos])
	rest = rest[tos+len(wordTOS):]
	end := 0
	for end < len(rest) && rest[end] != ',' {
		end++
	}
	n, _ := strconv.ParseUint(string(rest[:end]), 16, 8)
	h.tos = uint8(n)
	h.ttl, h.id = uint8(after(rest, ", ttl ")), uint16(after(rest, ", id "))
	h.later = after(rest, ", offset ") > 0
	h.fragment = !h.later && bytes.Contains(rest, []byte("flags [+"))
	return h, true
}

// alone is the verdict on a packet of which only the first line of two is there.
func (h *header) alone() capture.Verdict {
	switch {
	case !h.tcp:
		return capture.NotTCP
	case h.later:
		return capture.LaterFragment
	}
	return capture.Short
}

// readHopLimit reads what tcpdump -v prints of an IPv6 header.
func readHopLimit(before []byte, s *capture.Segment) {
	s.TTL = uint8(after(before, "hlim "))
	if i := bytes.Index(before, []byte("class 0x")); i >= 0 && len(before) >= i+10 {
		n, _ := strconv.ParseUint(string(before[i+8:i+10]), 16, 8)
		s.TOS = uint8(n)
	}
}

// maxLinks bounds the table of interfaces.
const maxLinks = 1024

// link numbers the interface of a packet, from 1 in the order of appearance. It
// is 0 where none stands there.
func (x *text) link(before []byte) int {
	name := nameOfLink(before)
	if name == nil {
		return 0
	}
	if n := x.links[string(name)]; n > 0 || len(x.links) >= maxLinks {
		return n
	}
	x.links[string(name)] = len(x.links) + 1
	return len(x.links)
}

// after gives the decimal number after a word, 0 where there is none.
func after(b []byte, word string) uint64 {
	i := bytes.Index(b, []byte(word))
	if i < 0 {
		return 0
	}
	n, _, _ := number(b[i+len(word):])
	return n
}

// number cuts a decimal number of at most 19 digits off the front of b.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && i < 19 && isDigit(b[i]); i++ {
		n = n*10 + uint64(b[i]-'0')
	}
	return n, b[i:], i > 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
