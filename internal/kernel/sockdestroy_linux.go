package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SockDestroy tells whether TCP sockets can be ended from outside of their process, as
// ss -K does (sock_diag(7), SOCK_DESTROY; CONFIG_INET_DIAG_DESTROY). ss -K itself says
// nothing where the kernel cannot.
//
// It asks for the end of a socket that cannot be, one of port 0, which needs no right:
// the kernel looks for the socket first (tcp_diag_destroy).
func SockDestroy() error {
	const feature = "SOCK_DESTROY for TCP, which is CONFIG_INET_DIAG_DESTROY"
	req := requestV2(unix.AF_INET, 0)
	// The cookie, INET_DIAG_NOCOOKIE, closes struct inet_diag_sockid.
	binary.NativeEndian.PutUint64(req[len(req)-8:], 1<<64-1)
	err := diagDump(sockDestroy, req, func([]byte) {})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return &Unsupported{Feature: feature, Err: err}
	case err == nil:
		return fmt.Errorf("probe %s: the kernel says that it ended a socket which cannot be", feature)
	}
	return fmt.Errorf("probe %s: %w", feature, err)
}

const sockDestroy = 21 // SOCK_DESTROY, include/uapi/linux/sock_diag.h
