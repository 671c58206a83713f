package filter

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// families are the words that ss puts before an address to choose a table.
var families = []string{"inet:", "inet6:", "unix:", "link:", "netlink:", "vsock:"}

// parseHost reads what src and dst compare with; reason says why it cannot.
func parseHost(text string) (h Host, reason string) {
	for _, f := range families {
		if strings.HasPrefix(text, f) {
			return h, "a family is not supported: 0.0.0.0/0 stands for IPv4, [::]/0 for IPv6"
		}
	}
	addr, length, port, reason := cutHost(text)
	if reason != "" {
		return h, reason
	}
	if !anyPort(port) {
		if h.Port, reason = parsePort(port); reason != "" {
			return h, reason
		}
		h.HasPort = true
	}
	if addr == "" || addr == "*" {
		if length != "" {
			return h, "a prefix length needs an address"
		}
		return h, ""
	}
	if addr, zone, has := strings.Cut(addr, "%"); has {
		if h.Link, reason = parseZone(addr, length, zone); reason != "" {
			return h, reason
		}
		h.Prefix, reason = parsePrefix(addr, "")
		return h, reason
	}
	h.Prefix, reason = parsePrefix(addr, length)
	return h, reason
}

// parseZone reads the link of a link-local address. Only a number is one in every
// namespace and in every file; lo is 1 in all of them (LOOPBACK_IFINDEX in
// include/net/flow.h). ss -n prints the name, and reads neither.
func parseZone(addr, length, zone string) (link uint32, reason string) {
	ip, err := netip.ParseAddr(addr)
	switch {
	case err != nil || !ip.Is6() || !ip.IsLinkLocalUnicast():
		return 0, "only a link-local IPv6 address has a zone: leave out what follows %"
	case length != "":
		return 0, "a zone goes with a whole address, not with a prefix"
	case zone == "lo":
		return 1, ""
	}
	n, ok := parseNumber(zone, math.MaxInt32)
	if !ok || n == 0 {
		return 0, quote(zone) + fmt.Sprintf(" is not the number of a link, and names are not looked up: "+
			"write the number, as tcpvet ls does in [%s%%2], or leave out what follows %% for every link", ip)
	}
	return uint32(n), ""
}

// cutHost takes an address, the length of its prefix and a port apart. The
// length may stand within the brackets of an IPv6 address, as ss has it, or
// after them; a zone likewise, and there ss prints it.
func cutHost(text string) (addr, length, port, reason string) {
	var rest string
	slash := false
	switch {
	case text[0] == '[':
		shut := strings.IndexByte(text, ']')
		if shut < 0 {
			return "", "", "", `"[" is not closed`
		}
		addr, rest = text[1:shut], text[shut+1:]
		if !strings.Contains(addr, ":") {
			return "", "", "", "brackets are for IPv6 addresses"
		}
		if addr, length, slash = strings.Cut(addr, "/"); !slash && strings.HasPrefix(rest, "/") {
			slash = true
			length, rest = cutPort(rest[1:])
		} else if strings.HasPrefix(rest, "%") && !strings.Contains(addr, "%") {
			var zone string
			zone, rest = cutPort(rest)
			addr += zone
		}
	case strings.Count(text, ":") > 1:
		return cutBareIPv6(text)
	default:
		addr, rest = cutPort(text)
		addr, length, slash = strings.Cut(addr, "/")
	}
	if slash && length == "" {
		return "", "", "", `a number has to follow "/"`
	}
	if rest != "" && rest[0] != ':' {
		return "", "", "", quote(rest) + " is neither a port nor a prefix length"
	}
	return addr, length, strings.TrimPrefix(rest, ":"), ""
}

// cutBareIPv6 takes an IPv6 address without brackets where nothing else can be
// meant. What ends like a port is refused: ss reads "2001:db8::1:80" as port
// 80, others as an address, and a filter may choose what is to be destroyed.
func cutBareIPv6(text string) (addr, length, port, reason string) {
	addr, length, slash := strings.Cut(text, "/")
	if slash {
		length, port = cutPort(length)
		if length == "" {
			return "", "", "", `a number has to follow "/"`
		}
		return addr, length, strings.TrimPrefix(port, ":"), ""
	}
	if ip, zone, has := strings.Cut(text, "%"); has {
		zone, port = cutPort(zone)
		return ip + "%" + zone, "", strings.TrimPrefix(port, ":"), ""
	}
	colon := strings.LastIndexByte(text, ':')
	host, last := text[:colon], text[colon+1:]
	_, hostErr := netip.ParseAddr(host)
	_, isNumber := parseNumber(last, 65535)
	_, wholeErr := netip.ParseAddr(text)
	switch {
	case hostErr != nil || !isNumber:
		return text, "", "", ""
	case wholeErr != nil:
		return host, "", last, ""
	}
	return "", "", "", fmt.Sprintf("it could be [%s]:%s or [%s]: write which", host, last, text)
}

// cutPort takes a text apart before its first colon.
func cutPort(text string) (before, rest string) {
	if i := strings.IndexByte(text, ':'); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

// parsePrefix reads an address with the length of its prefix, "" for the whole
// of it. An IPv4 address before a length may be short, as ss and ip have it:
// 10/8.
func parsePrefix(addr, length string) (p netip.Prefix, reason string) {
	whole := addr
	if length != "" && !strings.Contains(addr, ":") {
		whole += strings.Repeat(".0", max(3-strings.Count(addr, "."), 0))
	}
	ip, err := netip.ParseAddr(whole)
	switch {
	case err != nil:
		return p, quote(addr) + " is not an IP address; names are not looked up"
	}
	bits := uint64(ip.BitLen())
	if length != "" {
		var ok bool
		if bits, ok = parseNumber(length, bits); !ok {
			return p, fmt.Sprintf("the prefix length is a number from 0 to %d", ip.BitLen())
		}
	}
	return netip.PrefixFrom(ip, int(bits)).Masked(), ""
}

// anyPort tells whether the text stands for any port.
func anyPort(text string) bool { return text == "" || text == "*" }

// parsePort reads a number or the name of a service.
func parsePort(text string) (port uint16, reason string) {
	if n, ok := parseNumber(text, 1<<64-1); ok {
		if n > 65535 {
			return 0, "ports end at 65535"
		}
		return uint16(n), ""
	}
	port, err := lookupService(text)
	if err != nil {
		return 0, err.Error()
	}
	return port, ""
}

// parseNumber reads a decimal number or one that begins with 0x, up to limit.
// A leading zero is refused: C, and so ss, would read it as octal.
func parseNumber(text string, limit uint64) (n uint64, ok bool) {
	base := 10
	switch {
	case len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X"):
		text, base = text[2:], 16
	case len(text) > 1 && text[0] == '0':
		return 0, false
	}
	n, err := strconv.ParseUint(text, base, 64)
	return n, err == nil && n <= limit
}
