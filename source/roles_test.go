package source

import (
	"net/netip"
	"testing"

	"github.com/tcpvet/tcpvet"
)

// roleTold keeps the role that it was told last.
type roleTold struct {
	tcpvet.Observer
	role tcpvet.Role
}

func (r *roleTold) Netns(tcpvet.Netns) {}
func (r *roleTold) Socket(s *tcpvet.Socket) error {
	r.role = s.Role
	return nil
}

// bytes_acked has one more than bytes_sent where a SYN was acknowledged, and one
// where a FIN was (RFC 9293 section 3.4: each takes a sequence number).
func TestAccepted(t *testing.T) {
	const info = tcpvet.FactInfo
	for _, tt := range []struct {
		name   string
		known  tcpvet.Facts
		state  tcpvet.State
		remote uint16
		info   tcpvet.TCPInfo
		want   tcpvet.Role
	}{
		{"accepted, read from", info, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesReceived: 5}, tcpvet.Server},
		{"accepted, written to", info, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesSent: 7, BytesAcked: 7}, tcpvet.Server},
		{"accepted, from above the range", info, tcpvet.Established, 65000, tcpvet.TCPInfo{BytesReceived: 5}, tcpvet.Server},
		{"accepted, in CLOSE-WAIT", info, tcpvet.CloseWait, 50000, tcpvet.TCPInfo{BytesReceived: 5}, tcpvet.Server},
		{"accepted, half closed", info, tcpvet.FinWait2, 50000, tcpvet.TCPInfo{BytesSent: 7, BytesAcked: 8}, tcpvet.Server},
		{"opened, read from", info, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesAcked: 1, BytesReceived: 5}, tcpvet.Client},
		{"opened, written to", info, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesSent: 7, BytesAcked: 8}, tcpvet.Client},
		{"opened, half closed", info, tcpvet.FinWait2, 50000, tcpvet.TCPInfo{BytesSent: 7, BytesAcked: 9}, tcpvet.Client},
		{"an input that counts no bytes", info, tcpvet.Established, 50000, tcpvet.TCPInfo{}, tcpvet.Client},
		{"an input that counts no bytes, half closed", info, tcpvet.FinWait2, 50000, tcpvet.TCPInfo{}, tcpvet.Client},
		{"a kernel that counts acknowledged bytes alone", info, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesAcked: 8, BytesReceived: 5}, tcpvet.Client},
		{"in flight: one of two bytes and the SYN", info, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesSent: 2, BytesAcked: 2, Unacked: 1}, tcpvet.Client},
		{"sent again: one byte, twice", info, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesSent: 2, BytesAcked: 2, TotalRetrans: 1}, tcpvet.Client},
		{"restored, to a service", info, tcpvet.Established, 5432, tcpvet.TCPInfo{BytesReceived: 5}, tcpvet.Client},
		{"not told", 0, tcpvet.Established, 50000, tcpvet.TCPInfo{BytesReceived: 5}, tcpvet.Client},
		{"FIN-WAIT-1", info, tcpvet.FinWait1, 50000, tcpvet.TCPInfo{BytesReceived: 5}, tcpvet.Client},
	} {
		var told roleTold
		r := withRoles(&told)
		s := tcpvet.Socket{
			Known: tt.known, State: tt.state, Info: tt.info,
			Local: netip.MustParseAddrPort("10.0.0.5:40000"), Remote: netip.AddrPortFrom(netip.MustParseAddr("10.9.9.9"), tt.remote),
		}
		_ = r.Socket(&s) // gives no error
		if told.role != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, told.role, tt.want)
		}
		// Others on the port of what was accepted are servers too, by whatever
		// they show, and on no other port.
		for port, want := range map[uint16]tcpvet.Role{40000: tt.want, 40001: tcpvet.Client} {
			_ = r.Socket(&tcpvet.Socket{State: tcpvet.TimeWait, Local: netip.AddrPortFrom(s.Local.Addr(), port), Remote: s.Remote})
			if told.role != want {
				t.Errorf("%s: TIME-WAIT on port %d is a %v", tt.name, port, told.role)
			}
		}
	}
}
