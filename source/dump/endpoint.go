package dump

import "errors"

var (
	errNames   = errors.New("it has names instead of numbers; paste the output of the same command with -n (lsof: -nP)")
	errAddress = errors.New("an address is missing or damaged")
	errPort    = errors.New("a port is missing or damaged")
)

// endpoint is an address and a port as the tools print them.
type endpoint struct {
	addr  [16]byte // IPv4 in the first four
	port  uint16   // 0 for an asterisk
	iface uint32   // index of the interface, 0 where its name does not give it
	v4    bool
	star  bool // an asterisk for the address
	bare  bool // IPv6 without brackets
}

// parse reads ADDRESS:PORT: 127.0.0.1:80, [::1]:80, ::1:80, :::80, *:80,
// 0.0.0.0:*, 127.0.0.53%lo:53, [fe80::1]%eth0:22, [fe80::1%eth0]:22. An
// interface behind the address is not part of it.
func (e *endpoint) parse(b []byte) error {
	*e = endpoint{}
	colon := lastByte(b, ':')
	if colon < 0 {
		return errAddress
	}
	host, port := b[:colon], b[colon+1:]
	if len(port) != 1 || port[0] != '*' {
		v, ok := number(port, 16)
		if !ok {
			if hasLetter(port) {
				return errNames
			}
			return errPort
		}
		e.port = uint16(v)
	}
	if n := len(host); n > 0 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1] // a zone may stand inside or behind the brackets
	}
	if i := lastByte(host, '%'); i >= 0 {
		if i == len(host)-1 {
			return errAddress
		}
		e.iface = interfaceIndex(host[i+1:])
		host = host[:i]
		if n := len(host); n > 0 && host[0] == '[' && host[n-1] == ']' {
			host = host[1 : n-1]
		}
	}
	switch {
	case len(host) == 1 && host[0] == '*':
		e.star = true
	case lastByte(host, ':') >= 0:
		if e.bare = b[0] != '['; !parseIPv6(host, &e.addr) {
			return errAddress
		}
	default:
		var v4 [4]byte
		if !parseIPv4(host, &v4) {
			if hasLetter(host) {
				return errNames
			}
			return errAddress
		}
		e.v4 = true
		copy(e.addr[:], v4[:])
	}
	return nil
}

// mapped makes an IPv4 address the IPv4-mapped IPv6 address of RFC 4291
// section 2.5.5.2: some tools print just its IPv4 part.
func (e *endpoint) mapped() {
	if e.v4 {
		e.addr = [16]byte{10: 0xff, 11: 0xff, 12: e.addr[0], 13: e.addr[1], 14: e.addr[2], 15: e.addr[3]}
		e.v4 = false
	}
}

// interfaceIndex knows lo, which is 1 in every network namespace
// (LOOPBACK_IFINDEX in include/net/flow.h), and if7, which is what iproute2
// prints for an interface that is gone (ll_idx_n2a in lib/ll_map.c).
func interfaceIndex(name []byte) uint32 {
	if string(name) == "lo" {
		return 1
	}
	if len(name) > 2 && name[0] == 'i' && name[1] == 'f' {
		if v, ok := number(name[2:], 32); ok {
			return uint32(v)
		}
	}
	return 0
}

func parseIPv4(b []byte, out *[4]byte) bool {
	for i := range out {
		n := 0
		for n < len(b) && b[n] != '.' {
			n++
		}
		v, ok := number(b[:n], 8)
		if !ok || n > 1 && b[0] == '0' || (i < 3) != (n < len(b)) {
			return false
		}
		out[i] = byte(v)
		if i < 3 {
			b = b[n+1:]
		}
	}
	return true
}

// parseIPv6 reads the forms of RFC 4291 section 2.2.
func parseIPv6(b []byte, out *[16]byte) bool {
	*out = [16]byte{}
	at, gap := 0, -1
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		n := 0
		var v uint32
		for n < len(b) {
			d, ok := hexDigit(b[n])
			if !ok {
				break
			}
			v = v<<4 | uint32(d)
			if n++; n > 4 {
				return false
			}
		}
		if n < len(b) && b[n] == '.' {
			var v4 [4]byte
			if at > 12 || !parseIPv4(b, &v4) {
				return false
			}
			copy(out[at:], v4[:])
			at += 4
			break
		}
		if n == 0 || at > 14 {
			return false
		}
		out[at], out[at+1] = byte(v>>8), byte(v)
		at += 2
		b = b[n:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return false
			}
			gap, b = at, b[1:]
		}
	}
	if gap < 0 {
		return at == 16
	}
	if at > 14 {
		return false
	}
	tail := at - gap
	copy(out[16-tail:], out[gap:at])
	clear(out[gap : 16-tail])
	return true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// lastByte is bytes.LastIndexByte, which is slower on a few bytes.
func lastByte(b []byte, c byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == c {
			return i
		}
	}
	return -1
}

func hasLetter(b []byte) bool {
	for _, c := range b {
		if 'a' <= c|0x20 && c|0x20 <= 'z' {
			return true
		}
	}
	return false
}
