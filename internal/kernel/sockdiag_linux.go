package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// SockDiag tells whether TCP sockets can be listed by SOCK_DIAG_BY_FAMILY
// (sock_diag(7)). The kernel may have to load tcp_diag for it and does so by
// itself.
func SockDiag() error {
	const feature = "sock_diag for TCP"
	err := diagDump(unix.SOCK_DIAG_BY_FAMILY, requestV2(unix.AF_INET, 0), func([]byte) {})
	return diagAnswer(feature, err)
}

// SockDiagBothFamilies tells whether the older request TCPDIAG_GETSOCK is
// answered, which lists IPv4 and IPv6 sockets in one pass
// (net/ipv4/inet_diag.c, inet_diag_rcv_msg_compat).
func SockDiagBothFamilies() error {
	const feature = "TCPDIAG_GETSOCK, one list for IPv4 and IPv6"
	// struct inet_diag_req: family, address lengths and extensions a byte
	// each, struct inet_diag_sockid, states, dbs.
	req := make([]byte, 60)
	req[0] = unix.AF_INET
	err := diagDump(tcpdiagGetsock, req, func([]byte) {})
	return diagAnswer(feature, err)
}

// BoundInactive tells whether sockets that are bound and neither listen nor are
// connected can be asked for: bit 13 of the states mask (net/ipv4/inet_diag.c,
// TCPF_BOUND_INACTIVE). It binds a socket to a free port and looks for it.
func BoundInactive() error {
	const feature = "the states bit for bound sockets"
	if err := SockDiag(); err != nil {
		if u, ok := errors.AsType[*Unsupported](err); ok {
			return &Unsupported{Feature: feature, Err: u}
		}
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("probe %s: open socket: %w", feature, err)
	}
	defer unix.Close(fd)
	if err := bindSomewhere(fd); err != nil {
		return fmt.Errorf("probe %s: bind: %w", feature, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("probe %s: %w", feature, err)
	}
	const boundInactive = 13
	seen := false
	err = diagDump(unix.SOCK_DIAG_BY_FAMILY, requestV2(unix.AF_INET, 1<<boundInactive), func(msg []byte) {
		// idiag_inode closes struct inet_diag_msg, 72 bytes long.
		seen = seen || len(msg) >= 72 && uint64(binary.NativeEndian.Uint32(msg[68:])) == uint64(uint32(st.Ino))
	})
	if err != nil {
		return fmt.Errorf("probe %s: %w", feature, err)
	}
	if !seen {
		return &Unsupported{Feature: feature, Since: "6.8"}
	}
	return nil
}

// bindSomewhere binds to a port that the kernel chooses, else, where its range is
// used up, to one that happens to be free.
func bindSomewhere(fd int) error {
	err := unix.Bind(fd, &unix.SockaddrInet4{})
	const tries = 100 // a range has some 28,000 of 64,000 ports
	for i := 0; errors.Is(err, unix.EADDRINUSE) && i < tries; i++ {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: 1024 + rand.IntN(1<<16-1024)})
	}
	return err
}

const tcpdiagGetsock = 18 // TCPDIAG_GETSOCK, include/uapi/linux/inet_diag.h

// requestV2 builds a struct inet_diag_req_v2 for TCP sockets in those states;
// 0 asks for none and learns only whether there would be an answer.
func requestV2(family uint8, states uint32) []byte {
	req := make([]byte, 56)
	req[0], req[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(req[4:], states)
	return req
}

func diagAnswer(feature string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL),
		errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return &Unsupported{Feature: feature, Err: err}
	}
	return fmt.Errorf("probe %s: %w", feature, err)
}

// diagDump asks the kernel for a dump and gives each message's payload to see.
// It ends at NLMSG_DONE, whose payload may carry an error as NLMSG_ERROR's does
// (include/uapi/linux/netlink.h).
func diagDump(kind uint16, req []byte, see func([]byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("open NETLINK_SOCK_DIAG: %w", err)
	}
	defer unix.Close(fd)
	// A probe must end even where something filters netlink and answers
	// nothing.
	wait := unix.NsecToTimeval(int64(2 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return fmt.Errorf("set receive time limit: %w", err)
	}
	msg := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(req))
	binary.NativeEndian.PutUint32(msg, uint32(unix.NLMSG_HDRLEN+len(req)))
	binary.NativeEndian.PutUint16(msg[4:], kind)
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(fd, append(msg, req...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive answer: %w", err)
		}
		done, err := diagMessages(buf[:n], see)
		if done || err != nil {
			return err
		}
	}
}

// diagMessages walks the netlink messages of one datagram.
func diagMessages(b []byte, see func([]byte)) (done bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return false, fmt.Errorf("read answer: message of %d bytes in %d", size, len(b))
		}
		body := b[unix.NLMSG_HDRLEN:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			if len(body) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
					return true, fmt.Errorf("kernel answered: %w", unix.Errno(-code))
				}
			}
			return true, nil
		default:
			see(body)
		}
		b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return false, nil
}
