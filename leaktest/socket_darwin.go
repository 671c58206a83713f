package leaktest

import (
	"fmt"
	"os"
	"strconv"

	"github.com/tcpvet/tcpvet/internal/opened"
	"golang.org/x/sys/unix"
)

// held lists the keys of all TCP sockets of this process.
func held() (map[key]bool, error) {
	keys := map[key]bool{}
	all, err := look(nil)
	for _, s := range all {
		keys[s.key] = true
	}
	return keys, err
}

// look reads the TCP sockets of this process that are not in old. A socket whose
// connection was reset has no remote address left to know it by, and is left out.
func look(old map[key]bool) ([]*socket, error) {
	dir, err := os.Open("/dev/fd")
	if err != nil {
		return nil, fmt.Errorf("list own descriptors: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list own descriptors: %w", err)
	}
	var all []*socket
	seen := map[key]*socket{}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		s := read(fd)
		switch {
		case s == nil || old[s.key]:
		case seen[s.key] != nil:
			seen[s.key].fds = append(seen[s.key].fds, fd)
		default:
			seen[s.key] = s
			all = append(all, s)
		}
	}
	return all, nil
}

// read asks the kernel about one descriptor; nil if it is no TCP socket.
func read(fd int) *socket {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return nil
	}
	info, err := unix.GetsockoptTCPConnectionInfo(fd, unix.IPPROTO_TCP, unix.TCP_CONNECTION_INFO)
	if err != nil {
		return nil
	}
	s := &socket{fds: []int{fd}, state: opened.State(info.State), used: info.Rxpackets > 0}
	if name, err := unix.Getsockname(fd); err == nil {
		s.local = addrOf(name)
	}
	if name, err := unix.Getpeername(fd); err == nil {
		s.remote = addrOf(name)
	}
	if !s.remote.IsValid() && s.state != stateListen {
		return nil
	}
	s.key = key{local: s.local, remote: s.remote}
	return s
}

// keyOf gives what the kernel knows the connection by.
func keyOf(fd int) (key, error) {
	s := read(fd)
	if s == nil {
		return key{}, fmt.Errorf("ask descriptor %d: it is no TCP connection", fd)
	}
	return s.key, nil
}
