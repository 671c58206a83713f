package sockdiag

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Dial opens a connection to the sock_diag of the network namespace that the
// calling thread is in; the Conn stays there, whichever thread uses it later.
// EPROTONOSUPPORT means a kernel without CONFIG_INET_DIAG.
func Dial() (*Conn, error) {
	s, err := open()
	if err != nil {
		return nil, err
	}
	aside, err := open()
	if err != nil {
		return newConn(s, nil), nil // it can still tell where it is unsure
	}
	return newConn(s, newAside(aside)), nil
}

// Probe tells why Dial would fail, nil if it would not.
func Probe() error {
	s, err := open()
	if err != nil {
		return err
	}
	return s.close()
}

func open() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	s := &socket{fd: fd}
	if err := s.prepare(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	return s, nil
}

// socket is a netlink socket.
type socket struct {
	fd   int
	port uint32
}

func (s *socket) prepare() error {
	// A connected netlink socket takes nothing from anybody but its peer, the
	// kernel, whose port is 0 (netlink_getsockbyportid). So reads need not
	// look at the sender, which costs an allocation each.
	if err := unix.Connect(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return fmt.Errorf("read own address: %w", err)
	}
	own, ok := name.(*unix.SockaddrNetlink)
	if !ok {
		return fmt.Errorf("read own address: not a netlink address: %T", name)
	}
	s.port = own.Pid
	// Nothing waits in a sound dump; this keeps an unsound one from hanging.
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return fmt.Errorf("set SO_RCVTIMEO: %w", err)
	}
	// Explanations beside errors: Linux 4.12. Without them errors are bare.
	_ = unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	return nil
}

func (s *socket) portID() uint32 { return s.port }

func (s *socket) send(msg []byte) error {
	for {
		n, err := unix.Write(s.fd, msg)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n != len(msg):
			return fmt.Errorf("%d bytes of %d were taken", n, len(msg))
		}
		return nil
	}
}

// receive is recv(2) with MSG_TRUNC, so that a cut answer shows its length.
// unix.Recvfrom would allocate the sender's address.
func (s *socket) receive(b []byte) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (s *socket) close() error {
	if err := unix.Close(s.fd); err != nil {
		return fmt.Errorf("close sock_diag: %w", err)
	}
	return nil
}
