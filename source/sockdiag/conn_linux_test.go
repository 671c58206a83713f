package sockdiag

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpvet/tcpvet"
	"github.com/tcpvet/tcpvet/internal/kerneltest"
)

// A Conn stays in the namespace of the thread that dialled it.
func TestRootConnKeepsNamespace(t *testing.T) {
	kerneltest.Netns(t)
	pair(t, "127.0.0.1")
	c := dial(t)
	n := make(chan int)
	go func() { // on a thread of the first namespace
		count := 0
		c.Dump(context.Background(), Request{}, func(*tcpvet.Socket) error { count++; return nil })
		n <- count
	}()
	if got := <-n; got != 3 {
		t.Errorf("%d sockets, want the 3 of the private namespace", got)
	}
}

// Nobody but the kernel can put a message into the connection.
func TestRootForeignSender(t *testing.T) {
	kerneltest.Netns(t)
	c := dial(t)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	must(t, err)
	closeFD(t, fd)
	forged := Request{}.appendTo(nil, 0, 1)
	err = unix.Sendto(fd, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: c.link.portID()})
	if err != unix.ECONNREFUSED {
		t.Errorf("a message to the connection: %v, want ECONNREFUSED", err)
	}
	if n := len(dumpAll(t, c, Request{})); n != 0 {
		t.Errorf("%d sockets in an empty namespace", n)
	}
}

func TestRootLeftEarly(t *testing.T) {
	kerneltest.Netns(t)
	pair(t, "127.0.0.1")
	c := dial(t)
	enough := errors.New("enough")
	st, err := c.Dump(t.Context(), Request{}, func(*tcpvet.Socket) error { return enough })
	if err != enough || st.Sockets != 1 {
		t.Errorf("%v after %d sockets, want the yield's own error after 1", err, st.Sockets)
	}
	if _, err := c.Dump(t.Context(), Request{}, func(*tcpvet.Socket) error { return nil }); !errors.Is(err, ErrBroken) {
		t.Errorf("%v, want ErrBroken", err)
	}

	c = dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Dump(ctx, Request{}, func(*tcpvet.Socket) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	// Nothing was sent, so nothing is left to come.
	if n := len(dumpAll(t, c, Request{})); n != 3 {
		t.Errorf("%d sockets, want 3", n)
	}
}
