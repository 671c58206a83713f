package filter

import (
	"net/netip"
	"strconv"

	"github.com/tcpvet/tcpvet"
)

// End is an end of a connection, as the machine that holds the socket sees it.
type End uint8

// The ends.
const (
	Local  End = iota // src, sport
	Remote            // dst, dport
)

func (e End) of(s *tcpvet.Socket) netip.AddrPort {
	if e == Local {
		return s.Local
	}
	return s.Remote
}

// Host holds for the sockets that have such an address, and such a port if
// HasPort is set, at an end. The zero Prefix stands for any address.
type Host struct {
	End     End
	Prefix  netip.Prefix
	Link    uint32 // index of the interface that the socket is bound to; 0 for any
	Port    uint16
	HasPort bool
}

// Judge is always known without a Link: a source that has only its name tells none.
// A socket with a link-local address is bound to one. An address that is not valid
// is in no prefix.
func (e Host) Judge(s *tcpvet.Socket) Truth {
	ap := e.End.of(s)
	if e.HasPort && ap.Port() != e.Port {
		return False
	}
	if !e.Prefix.IsValid() {
		return True
	}
	addr := ap.Addr().WithZone("")
	if e.Prefix.Addr().Is4() {
		addr = addr.Unmap()
	}
	if !e.Prefix.Contains(addr) {
		return False
	}
	if e.Link != 0 && s.Interface == 0 {
		return Unknown
	}
	return truth(e.Link == 0 || s.Interface == e.Link)
}

func (e Host) reach() reach {
	if e.any() {
		return reach{yes: tcpvet.AllStates}
	}
	return anywhere
}

// any tells whether every address and port will do.
func (e Host) any() bool { return !e.Prefix.IsValid() && !e.HasPort }

func (Host) needs() tcpvet.Facts { return 0 }

// String writes the address as ss reads it: the length of an IPv6 prefix
// stands within the brackets. A link, which ss does not read, follows %.
func (e Host) String() string {
	b := []byte([...]string{"src ", "dst "}[e.End])
	switch {
	case e.Prefix.IsValid():
		v6 := e.Prefix.Addr().Is6()
		if v6 {
			b = append(b, '[')
		}
		b = e.Prefix.Addr().AppendTo(b)
		if e.Link != 0 {
			b = append(b, '%')
			b = strconv.AppendUint(b, uint64(e.Link), 10)
		}
		if !e.Prefix.IsSingleIP() {
			b = append(b, '/')
			b = strconv.AppendInt(b, int64(e.Prefix.Bits()), 10)
		}
		if v6 {
			b = append(b, ']')
		}
	case !e.HasPort:
		b = append(b, '*')
	}
	if e.HasPort {
		b = append(b, ':')
		b = strconv.AppendUint(b, uint64(e.Port), 10)
	}
	return string(b)
}

// Port holds for the sockets whose port at an end compares so.
type Port struct {
	End  End
	Op   Op
	Port uint16
}

// Judge is always known.
func (e Port) Judge(s *tcpvet.Socket) Truth {
	return truth(compare(e.End.of(s).Port(), e.Op, e.Port))
}

func (Port) reach() reach        { return anywhere }
func (Port) needs() tcpvet.Facts { return 0 }

func (e Port) String() string {
	return [...]string{"sport ", "dport "}[e.End] + e.Op.String() + " :" + strconv.Itoa(int(e.Port))
}
