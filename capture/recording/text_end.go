package recording

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/tcpvet/tcpvet"
)

const (
	// maxEnds bounds how many ends are kept with what they mean.
	maxEnds = 1 << 14
	// maxName is the longest name of a host, in bytes (RFC 1035 section
	// 2.3.4).
	maxName = 255
)

var errEnd = errors.New("it tells no address and port")

// ends reads what tcpdump prints of an end: an address or a name, a dot, and a
// port or a service.
type ends struct {
	services func(string) (uint16, bool)
	known    map[string]end
}

type end struct {
	at  netip.AddrPort
	err error
}

// of gives the end that b names.
func (e *ends) of(b []byte) (netip.AddrPort, error) {
	if known, ok := e.known[string(b)]; ok {
		return known.at, known.err
	}
	if len(b) > maxName+1+maxName {
		return netip.AddrPort{}, errEnd
	}
	at, err := e.parse(b)
	if len(e.known) >= maxEnds {
		clear(e.known)
	}
	e.known[string(b)] = end{at, err}
	return at, err
}

func (e *ends) parse(b []byte) (netip.AddrPort, error) {
	dot := bytes.LastIndexByte(b, '.')
	if dot < 1 {
		return netip.AddrPort{}, errEnd
	}
	host, service := string(b[:dot]), string(b[dot+1:])
	port, err := e.port(service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		return netip.AddrPortFrom(a, port), nil
	}
	if !hostName(host) {
		return netip.AddrPort{}, errEnd
	}
	return netip.AddrPortFrom(tcpvet.NamedHost(host), port), nil
}

func (e *ends) port(service string) (uint16, error) {
	if n, err := strconv.ParseUint(service, 10, 16); err == nil {
		return uint16(n), nil
	}
	if p, ok := usualServices()[service]; ok {
		return p, nil
	}
	if e.services != nil {
		if p, ok := e.services(service); ok {
			return p, nil
		}
	}
	return 0, fmt.Errorf("port %.32q is neither a number nor a known service: print with tcpdump -n", service)
}

// hostName tells whether a name is made as those of hosts are.
func hostName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', isDigit(c), c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxName
}
