package scenarios

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tcpvet/tcpvet/internal/kernel"
	"github.com/tcpvet/tcpvet/lab"
	"golang.org/x/sys/unix"
)

// destroying is the need of a kernel that can end a TCP socket from outside, as
// ss -K has it do. ss -K itself says nothing where the kernel cannot.
var destroying = lab.Feature("SOCK_DESTROY", probeDestroy)

// sockDestroy is SOCK_DESTROY (include/uapi/linux/sock_diag.h).
const sockDestroy = 21

// probeDestroy asks for the end of a socket that cannot be, one of port 0, which
// needs no right: the kernel looks for the socket first (tcp_diag_destroy).
func probeDestroy() error {
	switch err := destroyNone(); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return &kernel.Unsupported{Feature: "SOCK_DESTROY for TCP, which is CONFIG_INET_DIAG_DESTROY", Err: err}
	default:
		return fmt.Errorf("probe SOCK_DESTROY: %w", err)
	}
}

// destroyNone gives the kernel's answer.
func destroyNone() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("open NETLINK_SOCK_DIAG: %w", err)
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(int64(2 * time.Second)) // a filter may swallow the answer
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return fmt.Errorf("set receive time limit: %w", err)
	}
	// struct nlmsghdr, and struct inet_diag_req_v2: family, protocol, then
	// the states and a struct inet_diag_sockid, whose cookie comes last.
	var msg [unix.NLMSG_HDRLEN + 56]byte
	binary.NativeEndian.PutUint32(msg[0:], uint32(len(msg)))
	binary.NativeEndian.PutUint16(msg[4:], sockDestroy)
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	msg[16], msg[17] = unix.AF_INET, unix.IPPROTO_TCP
	for i := len(msg) - 8; i < len(msg); i++ {
		msg[i] = 0xff // INET_DIAG_NOCOOKIE
	}
	if err := unix.Sendto(fd, msg[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	var answer [4096]byte
	n, _, err := unix.Recvfrom(fd, answer[:], 0)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	// struct nlmsgerr begins with the error, negated.
	if n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("read the answer: %d bytes that are no error", n)
	}
	code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:]))
	return unix.Errno(-code)
}
