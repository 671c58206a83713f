package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"github.com/tcpvet/tcpvet/capture"
	"github.com/tcpvet/tcpvet/filter"
	"github.com/tcpvet/tcpvet/internal/kernel"
	"golang.org/x/sys/unix"
)

// Bounds of the ring, in bytes.
const (
	usualBuffer   = 8 << 20
	largestBuffer = 1 << 30
	usualBlock    = 512 << 10 // holds the largest packet that is kept
)

// Live captures packets. One goroutine at a time may use it.
type Live struct {
	name    string
	index   int // of the interface; 0 for all
	fd      int
	link    capture.LinkType
	filter  *filter.PacketFilter
	snapLen uint32
	decoder capture.Decoder
	idle    func() error

	ring []byte
	size int // of a block
	turn int // the block that is read or waited for
	held bool

	block block
	frame frame
	last  Packet
	stats Stats
	turns uint

	ending error     // why the kernel adds nothing more; what is in the ring is yet to be read
	until  time.Time // by when that is
	ended  error
}

// Open begins to capture in the network namespace of the calling thread; where
// Next is called does not matter. For another namespace: netns.Found.Do.
//
// It needs CAP_NET_RAW in the user namespace that owns the network namespace;
// Promiscuous needs nothing more. Errors wrap ErrNoInterface, ErrDown,
// unix.EPERM or *kernel.Unsupported where that is the reason.
func Open(o Options) (*Live, error) {
	name := o.Interface
	if name == "" {
		name = Any
	}
	l, err := open(name, o)
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", name, err)
	}
	return l, nil
}

func open(name string, o Options) (_ *Live, err error) {
	l := &Live{name: name, filter: o.Filter, snapLen: MaxSnapLen, idle: o.Idle, decoder: capture.Decoder{Checksums: o.Checksums}}
	switch {
	case o.SnapLen < 0 || o.SnapLen > MaxSnapLen:
		return nil, fmt.Errorf("keep %d bytes of each packet: choose 0 for all, or up to %d", o.SnapLen, MaxSnapLen)
	case o.SnapLen > 0:
		l.snapLen = uint32(o.SnapLen)
	}
	hardware := uint16(math.MaxUint16) // of no one kind
	if name != Any {
		if l.index, hardware, err = lookUp(name); err != nil {
			return nil, err
		}
	}
	kind, start := unix.SOCK_DGRAM, filter.AtNetwork
	if l.link = linkOf(hardware); l.link == capture.Ethernet {
		kind, start = unix.SOCK_RAW, filter.AtEthernet
	}
	// Of protocol 0 it gets nothing before it is bound.
	if l.fd, err = unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, socketError(err)
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	if err := attach(l.fd, program(o.Filter, start, l.snapLen)); err != nil {
		return nil, fmt.Errorf("attach filter: %w", err)
	}
	if err := l.mapRing(o.Buffer); err != nil {
		return nil, err
	}
	return l, l.bind(o.Promiscuous && name != Any)
}

// lookUp finds an interface in the network namespace of the calling thread.
func lookUp(name string) (index int, hardware uint16, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("look up interface: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	}
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) { // none of that name, or no name at all
		all, err := net.Interfaces()
		if err != nil {
			return 0, 0, ErrNoInterface
		}
		names := make([]string, len(all))
		for i := range all {
			names[i] = all[i].Name
		}
		return 0, 0, noInterface(names)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look up interface: %w", err)
	}
	index = int(ifr.Uint32())
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, ifr); err != nil {
		return 0, 0, fmt.Errorf("look up the kind of the interface: %w", err)
	}
	return index, ifr.Uint16(), nil // the family of a hardware address is its ARPHRD_ number
}

// linkOf gives the link type by which the packets of a kind of interface are
// given and written. Where the header before the IP header is not one of
// Ethernet it is left to the kernel to look through, and what it found stands in
// a header of LinuxSLL2; on links that carry nothing but IP there is none.
func linkOf(hardware uint16) capture.LinkType {
	switch hardware {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return capture.Ethernet
	case unix.ARPHRD_NONE, unix.ARPHRD_RAWIP, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT:
		return capture.Raw
	}
	return capture.LinuxSLL2
}

func socketError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("open packet socket: %w; needs CAP_NET_RAW: run as root", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return &kernel.Unsupported{Feature: "packet sockets (CONFIG_PACKET)", Err: err}
	}
	return fmt.Errorf("open packet socket: %w", err)
}

// mapRing makes the ring.
func (l *Live) mapRing(buffer int) error {
	page := os.Getpagesize()
	if buffer == 0 {
		buffer = usualBuffer
	}
	if buffer < 2*page || buffer > largestBuffer {
		return fmt.Errorf("make a ring of %d bytes: choose %d to %d", buffer, 2*page, largestBuffer)
	}
	for l.size = usualBlock; l.size > page && 2*l.size > buffer; {
		l.size /= 2
	}
	blocks := buffer / l.size

	if err := unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return &kernel.Unsupported{Feature: "rings of packets in blocks (TPACKET_V3)", Since: "3.2", Err: err}
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_RESERVE, room); err != nil {
		return fmt.Errorf("reserve room for link headers: %w", err)
	}
	const frame = 2048 // of no meaning but that the sizes have to agree
	err := unix.SetsockoptTpacketReq3(l.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: uint32(l.size), Block_nr: uint32(blocks),
		Frame_size: frame, Frame_nr: uint32(l.size / frame * blocks),
		Retire_blk_tov: retire,
	})
	if err != nil {
		return fmt.Errorf("make a ring of %d bytes: %w; a smaller buffer may do", blocks*l.size, err)
	}
	l.ring, err = unix.Mmap(l.fd, 0, blocks*l.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the ring of %d bytes: %w; a smaller buffer may do", blocks*l.size, err)
	}
	return nil
}

// bind lets packets in.
func (l *Live) bind(promiscuous bool) error {
	if promiscuous {
		err := unix.SetsockoptPacketMreq(l.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(l.index), Type: unix.PACKET_MR_PROMISC})
		if err != nil {
			return fmt.Errorf("ask for promiscuous mode: %w", err)
		}
	}
	everything := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}) // in network byte order
	err := unix.Bind(l.fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: l.index})
	if errors.Is(err, unix.ENODEV) {
		return ErrRemoved
	}
	if err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	// The kernel binds to an interface that is down, and says so here.
	switch n, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR); {
	case err != nil:
		return fmt.Errorf("bind packet socket: %w", err)
	case unix.Errno(n) == unix.ENETDOWN:
		return fmt.Errorf("%w; to set it up: ip link set %s up", ErrDown, l.name)
	case n != 0:
		return fmt.Errorf("bind packet socket: %w", unix.Errno(n))
	}
	return nil
}

func attach(fd int, program []filter.Instr) error {
	code := make([]unix.SockFilter, len(program))
	for i, x := range program {
		code[i] = unix.SockFilter(x)
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
}

// release gives back what open took.
func (l *Live) release() error {
	var err error
	if l.ring != nil {
		err = unix.Munmap(l.ring)
		l.ring = nil
	}
	return errors.Join(err, unix.Close(l.fd))
}
