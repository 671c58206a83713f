package leaktest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tcpvet/tcpvet/internal/opened"
	"golang.org/x/sys/unix"
)

// held lists the keys of all TCP sockets of this process.
func held() (map[key]bool, error) {
	keys := map[key]bool{}
	err := eachSocket(func(_ int, k key) { keys[k] = true })
	return keys, err
}

// look reads the TCP sockets of this process that are not in old. A socket that
// is closed meanwhile is left out.
func look(old map[key]bool) ([]*socket, error) {
	var all []*socket
	seen := map[key]*socket{}
	err := eachSocket(func(fd int, k key) {
		if old[k] {
			return
		}
		if s := seen[k]; s != nil {
			s.fds = append(s.fds, fd)
			return
		}
		if s := read(fd); s != nil {
			s.key = k
			seen[k] = s
			all = append(all, s)
		}
	})
	return all, err
}

// eachSocket calls f for each descriptor of a TCP socket.
func eachSocket(f func(fd int, k key)) error {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list own descriptors (mount /proc): %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list own descriptors: %w", err)
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// Anything else answers ENOTSOCK here, and costs no more than this.
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err != nil || protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_MPTCP {
			continue
		}
		if k, err := keyOf(fd); err == nil {
			f(fd, k)
		}
	}
	return nil
}

// keyOf gives the socket's cookie (Linux 4.12), or its inode where a kernel has
// no cookies. Both are the socket's, whichever descriptor is asked.
func keyOf(fd int) (key, error) {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		cookie = st.Ino
	}
	return key{cookie: cookie}, err
}

// read asks the kernel about one socket; nil if it has gone.
func read(fd int) *socket {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return nil
	}
	s := &socket{
		fds:    []int{fd},
		state:  opened.State(info.State),
		used:   hadConnection(info),
		opener: openerOf(info),
	}
	if s.used {
		s.silent = time.Duration(min(info.Last_ack_recv, info.Last_data_recv)) * time.Millisecond
	}
	if name, err := unix.Getsockname(fd); err == nil {
		s.local = addrOf(name)
	}
	if name, err := unix.Getpeername(fd); err == nil {
		s.remote = addrOf(name)
	}
	return s
}

// hadConnection tells a socket whose connection has gone from one that was never
// connected. bytes_acked counts the SYN that opened a connection, bytes_received a
// FIN too; what was accepted knows the round trip of the handshake. They outlive
// the connection (kernel functions tcp_done and tcp_disconnect).
func hadConnection(i *unix.TCPInfo) bool {
	return i.Bytes_acked > 0 || i.Bytes_received > 0 || i.Rtt > 0
}

// openerOf tells who sent the SYN. bytes_acked counts a SYN of its own as one
// byte, and that which accept gives begins behind it (kernel functions
// tcp_snd_una_update and tcp_create_openreq_child); bytes_sent counts data alone,
// what was sent again too. Nothing may be on its way, or the two do not compare.
func openerOf(i *unix.TCPInfo) opener {
	acked := i.Bytes_acked
	switch opened.State(i.State) {
	case "ESTAB", stateCloseWait:
	case stateFinWait2:
		if acked == 0 {
			return openerUnknown
		}
		acked-- // its FIN
	default:
		return openerUnknown
	}
	switch {
	case i.Unacked != 0 || i.Total_retrans != 0:
		return openerUnknown
	case acked == i.Bytes_sent+1:
		return openedHere
	case acked == i.Bytes_sent && acked+i.Bytes_received > 0:
		return acceptedHere
	}
	return openerUnknown
}
