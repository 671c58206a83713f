package live

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// What keeps a port has its address, or all addresses of its family; a listener is
// told rather than a connection.
func TestOnPort(t *testing.T) {
	socket := func(state tcpvet.State, local string) tcpvet.Socket {
		return tcpvet.Socket{State: state, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort("10.9.9.9:80")}
	}
	for _, c := range []struct {
		bind    string
		sockets []tcpvet.Socket
		want    int // of sockets, -1 for none
	}{
		{"10.0.0.5:80", []tcpvet.Socket{socket(tcpvet.Listen, "10.0.0.6:80"), socket(tcpvet.Listen, "10.0.0.5:80")}, 1},
		{"10.0.0.5:80", []tcpvet.Socket{socket(tcpvet.Listen, "10.0.0.6:80"), socket(tcpvet.Listen, "0.0.0.0:80")}, 1},
		{"10.0.0.5:80", []tcpvet.Socket{socket(tcpvet.Listen, "[::1]:80"), socket(tcpvet.Listen, "[::]:80")}, 1},
		{"0.0.0.0:80", []tcpvet.Socket{socket(tcpvet.Listen, "[::1]:80"), socket(tcpvet.Listen, "10.0.0.6:80")}, 1},
		{"[::]:80", []tcpvet.Socket{socket(tcpvet.Listen, "10.0.0.6:80")}, 0},
		{"[::1]:80", []tcpvet.Socket{socket(tcpvet.Listen, "0.0.0.0:80")}, -1},
		{"10.0.0.5:80", []tcpvet.Socket{socket(tcpvet.Listen, "[::ffff:10.0.0.5]:80")}, 0},
		{"10.0.0.5:80", []tcpvet.Socket{socket(tcpvet.TimeWait, "10.0.0.5:80"), socket(tcpvet.Listen, "0.0.0.0:80"), socket(tcpvet.Established, "10.0.0.5:80")}, 1},
		{"10.0.0.5:80", []tcpvet.Socket{socket(tcpvet.TimeWait, "10.0.0.5:80"), socket(tcpvet.BoundInactive, "10.0.0.5:80")}, 1},
		{"10.0.0.5:80", []tcpvet.Socket{socket(tcpvet.TimeWait, "10.0.0.5:80"), socket(tcpvet.Established, "10.0.0.5:80")}, 0},
	} {
		on := &onPort{port: 80, sockets: c.sockets}
		_, other := on.find(netip.MustParseAddrPort(c.bind).Addr(), netip.AddrPort{})
		got := slices.IndexFunc(c.sockets, func(s tcpvet.Socket) bool { return other != nil && s.State == other.State && s.Local == other.Local })
		if got != c.want {
			t.Errorf("%s among %v: %d, want %d", c.bind, c.sockets, got, c.want)
		}
	}
}
