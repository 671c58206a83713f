package trace

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rawPeer is a host that the test plays by hand: what is sent to it comes out of a
// TUN interface, and it answers as the test wants.
type rawPeer struct {
	t      testing.TB
	tun    *os.File
	buf    [2048]byte
	at     netip.AddrPort // itself
	router netip.Addr     // who complains by ICMP
}

// segment is a TCP segment without data (RFC 9293, section 3.1).
type segment struct {
	from, to netip.AddrPort
	seq, ack uint32
	flags    byte
	packet   []byte // the IPv4 packet it came in
}

// The bits of a segment's flags.
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// newRawPeer makes the interface in the namespace of the test, and a host 10.9.0.2
// behind it; the namespace has 10.9.0.1.
func newRawPeer(t testing.TB) *rawPeer {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(t, err)
	ifr, err := unix.NewIfreq("tun0")
	must(t, err)
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	must(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr))
	p := &rawPeer{t: t, tun: os.NewFile(uintptr(fd), "tun0"), at: netip.MustParseAddrPort("10.9.0.2:80"), router: netip.MustParseAddr("10.9.0.3")}
	t.Cleanup(func() { p.tun.Close() })
	link, err := netlink.LinkByName("tun0")
	must(t, err)
	address, err := netlink.ParseAddr("10.9.0.1/24")
	must(t, err)
	must(t, netlink.AddrAdd(link, address))
	must(t, netlink.LinkSetUp(link))
	return p
}

// next gives the next segment that has those flags, among others.
func (p *rawPeer) next(flags byte) segment {
	p.t.Helper()
	must(p.t, p.tun.SetReadDeadline(time.Now().Add(generous)))
	for {
		n, err := p.tun.Read(p.buf[:])
		must(p.t, err)
		b := p.buf[:n]
		if n < 40 || b[0] != 0x45 || b[9] != unix.IPPROTO_TCP {
			continue
		}
		s := segment{
			from: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), binary.BigEndian.Uint16(b[20:])),
			to:   netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:])), binary.BigEndian.Uint16(b[22:])),
			seq:  binary.BigEndian.Uint32(b[24:]), ack: binary.BigEndian.Uint32(b[28:]), flags: b[33],
			packet: append([]byte(nil), b...),
		}
		if s.flags&flags == flags {
			return s
		}
	}
}

// send sends a segment to the namespace.
func (p *rawPeer) send(s segment) {
	p.t.Helper()
	b := make([]byte, 40)
	binary.BigEndian.PutUint16(b[20:], s.from.Port())
	binary.BigEndian.PutUint16(b[22:], s.to.Port())
	binary.BigEndian.PutUint32(b[24:], s.seq)
	binary.BigEndian.PutUint32(b[28:], s.ack)
	b[32], b[33] = 5<<4, s.flags
	binary.BigEndian.PutUint16(b[34:], 65535)
	// The pseudo-header stands where it does not count twice.
	pseudo := make([]byte, 12, 32)
	copy(pseudo, s.from.Addr().AsSlice())
	copy(pseudo[4:], s.to.Addr().AsSlice())
	pseudo[9], pseudo[11] = unix.IPPROTO_TCP, 20
	binary.BigEndian.PutUint16(b[36:], checksum(append(pseudo, b[20:]...)))
	p.write(b, s.from.Addr(), s.to.Addr(), unix.IPPROTO_TCP)
}

// unreachable says of a packet that it cannot be delivered: ICMP type 3 with that code
// (RFC 792).
func (p *rawPeer) unreachable(of segment, code byte) {
	p.t.Helper()
	b := make([]byte, 20+8, 20+8+28)
	b[20], b[21] = 3, code
	b = append(b, of.packet[:28]...)
	binary.BigEndian.PutUint16(b[22:], checksum(b[20:]))
	p.write(b, p.router, of.from.Addr(), unix.IPPROTO_ICMP)
}

func (p *rawPeer) write(b []byte, from, to netip.Addr, protocol byte) {
	p.t.Helper()
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
	_, err := p.tun.Write(b)
	must(p.t, err)
}

// checksum is that of the Internet (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// dialled begins to connect to the peer, and gives its SYN.
func (p *rawPeer) dialled() (*socket, segment) {
	p.t.Helper()
	c := newSocket(p.t, unix.AF_INET, unix.SOCK_NONBLOCK)
	if err := dial(c, p.at); err != unix.EINPROGRESS {
		p.t.Fatal(err)
	}
	return c, p.next(flagSYN)
}

// connected opens a connection to the peer. Its first sequence number is 1000.
func (p *rawPeer) connected() (*socket, segment) {
	p.t.Helper()
	c, syn := p.dialled()
	p.send(segment{from: p.at, to: syn.from, seq: 1000, ack: syn.seq + 1, flags: flagSYN | flagACK})
	p.next(flagACK)
	awaitState(p.t, c, 1)
	return c, segment{from: p.at, to: syn.from, seq: 1001, ack: syn.seq + 1, flags: flagACK}
}
