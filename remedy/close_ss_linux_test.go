package remedy

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// victim is a socket to end, and a descriptor by which that is noticed: its own, or its
// peer's.
type victim struct {
	watch         int
	local, remote netip.AddrPort
}

func own(t *testing.T, fd int) victim {
	t.Helper()
	local, err := unix.Getsockname(fd)
	ok(t, err)
	remote, err := unix.Getpeername(fd)
	ok(t, err)
	return victim{fd, endpoint(local), endpoint(remote)}
}

// connectedPair gives both ends of a connection.
func connectedPair(t *testing.T) (client, server int) {
	t.Helper()
	listener, at := listenAt(t, "127.0.0.1")
	client, err := dialTo(sockaddrOf(at))
	ok(t, err)
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	ok(t, err)
	t.Cleanup(func() { unix.Close(client); unix.Close(server) })
	return client, server
}

var victims = map[tcpvet.State]func(t *testing.T) victim{
	tcpvet.Established: func(t *testing.T) victim {
		client, server := connectedPair(t)
		_, err := unix.Write(server, []byte("unread"))
		ok(t, err)
		return own(t, client)
	},
	tcpvet.CloseWait: func(t *testing.T) victim {
		client, _ := waiting(t, "127.0.0.1")
		t.Cleanup(func() { unix.Close(client) })
		return own(t, client)
	},
	tcpvet.FinWait2: func(t *testing.T) victim {
		client, _ := connectedPair(t)
		ok(t, unix.Shutdown(client, unix.SHUT_WR))
		return own(t, client)
	},
	tcpvet.TimeWait: func(t *testing.T) victim {
		client, server := connectedPair(t)
		v := own(t, server)
		ok(t, unix.Shutdown(server, unix.SHUT_RDWR))
		ok(t, unix.Shutdown(client, unix.SHUT_RDWR))
		v.watch = client
		return v
	},
	tcpvet.SynSent: func(t *testing.T) victim {
		// A queue of length 0 takes one connection; the next SYN is dropped.
		listener, at := listenAt(t, "127.0.0.1")
		ok(t, unix.Listen(listener, 0))
		first, err := dialTo(sockaddrOf(at))
		ok(t, err)
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		ok(t, err)
		t.Cleanup(func() { unix.Close(first); unix.Close(fd) })
		if err := unix.Connect(fd, sockaddrOf(at)); err != unix.EINPROGRESS {
			t.Fatalf("connect to a full queue: %v", err)
		}
		name, err := unix.Getsockname(fd)
		ok(t, err)
		return victim{fd, endpoint(name), at}
	},
	tcpvet.SynRecv: func(t *testing.T) victim {
		// With TCP_DEFER_ACCEPT a request waits for data after the handshake.
		listener, at := listenAt(t, "127.0.0.1")
		ok(t, unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60))
		client, err := dialTo(sockaddrOf(at))
		ok(t, err)
		t.Cleanup(func() { unix.Close(client) })
		v := own(t, client)
		v.local, v.remote = v.remote, v.local
		return v
	},
}

// notices tells what the descriptor gives.
func notices(t *testing.T, fd int) string {
	t.Helper()
	ok(t, unix.SetNonblock(fd, true))
	text := ""
	call := func(what string, n int, err error) { text += fmt.Sprintf("%s %d %s; ", what, n, nameOf(err)) }
	for range 2 {
		n, err := unix.Read(fd, make([]byte, 16))
		call("read", n, err)
	}
	for range 2 {
		n, err := unix.Write(fd, []byte("x"))
		call("write", n, err)
	}
	n, err := unix.Read(fd, make([]byte, 16))
	call("read", n, err)
	return text
}

// there counts the sockets in a state between two addresses, as ss(8) has them.
func there(t *testing.T, state string, v victim) int {
	t.Helper()
	out, err := exec.Command(kerneltest.Tool(t, "ss"), "-tnH", "state", state, "src", v.local.String(), "dst", v.remote.String()).Output()
	ok(t, err)
	return strings.Count(string(out), "\n")
}

// A socket that is destroyed here ends as one that ss -K ends.
func TestRootCloseAgreesWithSS(t *testing.T) {
	ss := kerneltest.Tool(t, "ss")
	kerneltest.Netns(t)
	inNamespace(t)
	for state, stage := range victims {
		mine, theirs := stage(t), stage(t)
		until(t, state.String(), func() bool { return there(t, state.SS(), mine) == 1 && there(t, state.SS(), theirs) == 1 })
		var one []tcpvet.Change
		for _, c := range listed(t, state) {
			if c.Target.Local == mine.local && c.Target.Remote == mine.remote {
				c.Target.Holder, c.Target.Inode = tcpvet.Nobody, 0 // so that it is destroyed
				one = append(one, c)
			}
		}
		if len(one) != 1 {
			t.Fatalf("%s: listed %d", state, len(one))
		}
		if told := acted(t, one); !strings.HasPrefix(told[0], "applied destroyed") {
			t.Errorf("%s: %s", state, told[0])
		}
		out, err := exec.Command(ss, "-KtnH", "state", state.SS(), "src", theirs.local.String(), "dst", theirs.remote.String()).CombinedOutput()
		if err != nil {
			t.Fatalf("ss -K: %v: %s", err, out)
		}
		if there(t, "all", mine) != 0 || there(t, "all", theirs) != 0 {
			t.Errorf("%s: left: here %d, by ss -K %d", state, there(t, "all", mine), there(t, "all", theirs))
		}
		if got, want := notices(t, mine.watch), notices(t, theirs.watch); got != want {
			t.Errorf("%s: %s after ss -K: %s", state, got, want)
		} else {
			t.Logf("%s: %s", state, got)
		}
	}
}
